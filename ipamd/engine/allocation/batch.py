"""What all calls of a batch share: what was found for them, and what their verdicts change."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ipamd.backends.interface import Changes, Found
from ipamd.engine.allocation.address_search import AddressSearch
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.holds import BatchHolds
from ipamd.engine.allocation.owned_addresses import OwnedAddresses
from ipamd.engine.allocation.prefix_search import PrefixSearch
from ipamd.engine.allocation.reports import Leased
from ipamd.engine.allocation.seat_changes import SeatChanges
from ipamd.engine.allocation.tallies import BatchTallies
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Digest
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind


class Batch:
    """What releases, reports and allocations of one transaction are decided on, and write into."""

    def __init__(
        self, found: Found, catalogue: Catalogue, carved_out: Set[str], clock: Reading, leased: Leased
    ) -> None:
        self.found = found
        self.leases, self.pinned = leased.leases, leased.pinned
        self.catalogue = catalogue
        self.clock = clock
        self.now = clock.now
        self.blocks = BatchBlocks(catalogue, clock)
        self.addresses = AddressSearch(self.blocks, catalogue, carved_out, clock)
        self.prefixes = PrefixSearch(self.blocks, self.addresses, catalogue, carved_out, clock)
        self.changes = Changes()
        self.announced: set[Announced] = set()
        self.tallies = BatchTallies(catalogue.quotas)
        self.seats = SeatChanges(self.blocks, self.tallies, self.changes, clock.now)
        self.holds = BatchHolds(catalogue, self.blocks, self.changes, clock)
        self.owned = OwnedAddresses(self.blocks, self.tallies, self.holds, self.changes, clock.now)

    def held_by(self, digest: Digest) -> Sequence[Allocation]:
        """What a holder has. Raises StaleCatalogue if a pool of it is not known yet."""
        held = self.found.held.get(digest, ())
        if held and any(row.pool not in self.catalogue.pools for row in held):
            raise StaleCatalogue
        return held

    def is_over(self, node: NodeKey, epoch: int | None) -> bool:
        """Whether an epoch of a node's lease is over."""
        lease = self.leases.get(node)
        return lease is None or lease.epoch != epoch

    def announce(self, pool: str, node: NodeKey | None) -> None:
        """Note that what is announced of a node changes, if addresses of the pool are announced at all."""
        if node is not None and self.catalogue.announces(pool, node.cluster):
            self.announced.add(Announced(node.cluster, AnnouncedKind.NODE, node.name))

    def announce_holders(self, row: Allocation) -> None:
        """Announce an owner's address: of those who hold it now, the youngest has it."""
        for other in self.owned.holders(row):
            self.announce(row.pool, other.announced_for)
