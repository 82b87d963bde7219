"""Reading: pages, history and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from ipamd.backends.interface.searches import HeldAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogPage, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestQuery
from ipamd.models.hold import HoldUse
from ipamd.models.holding import NodeHolding
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, NetworkPosition, NodeAddress, NodeBlock
from ipamd.models.query import (
    ALL_CONTACTS,
    AllocationPage,
    AllocationQuery,
    BlocksWanted,
    ContactQuery,
    Fill,
    HistoryQuery,
    OwnerQuery,
)
from ipamd.models.quota import Tally, TallyUse
from ipamd.models.sample import UsageSample

NOT_ADDED_UP: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PodNetworkReading:
    """The pod network of a cluster as of one moment.

    `position` is the place of this moment in its changes, `changed` what has changed since the number that
    was asked about, whole if that is None. Changes up to `forgotten` may be missing. `blocks` and `singles`
    (borrowed addresses) are those of the announced pools, `own` the nodes' own addresses: of the nodes that
    have changed, or of all.
    """

    position: NetworkPosition
    forgotten: int
    snapshot: Snapshot
    changed: Set[Announced]
    blocks: Sequence[NodeBlock]
    singles: Sequence[NodeAddress]
    own: Sequence[NodeAddress]


class Ledger(Protocol):
    """Reading only, on connections of its own, so that no writer waits for it.

    Each method sees whole units of work only, and all that were answered before it was called.
    """

    async def snapshot(self, known: Snapshot) -> Snapshot:
        """The catalogue as last committed, read as by `CatalogueChange.load`."""
        ...

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        """Live allocations in the order of `AllocationQuery.place`.

        `after` is the id of the last allocation of the page before, live or ended. An unknown id ends the
        list.
        """
        ...

    async def prefixes(self) -> Mapping[str, Mapping[int, int]]:
        """How many prefixes of each length are held, by pool; none of pools that have none."""
        ...

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        """Allocations, live and ended, latest first.

        `before` is the id of the last allocation of the page before. An unknown id ends the list.
        """
        ...

    async def bounded_page(self, query: AllocationQuery, after: int | None, limit: int) -> AllocationPage:
        """As `page`, but so much is read for a page at most, however little of it matches.

        `after` is `next` of the page before.
        """
        ...

    async def bounded_history(self, query: HistoryQuery, before: int | None, limit: int) -> AllocationPage:
        """As `history`, but so much is read for a page at most, however little of it matches.

        `before` is `next` of the page before.
        """
        ...

    async def log(self, query: LogQuery, before: int | None, limit: int) -> LogPage:
        """The change log, latest first. `before` is `next` of the page before.

        So much is read for a page at most, however little of it matches: then the page is short.
        """
        ...

    async def requests(self, query: RequestQuery, before: int | None, limit: int) -> Sequence[ChangeRequest]:
        """Requests, latest first. `before` is the id of the last one of the page before."""
        ...

    async def request(self, number: int) -> ChangeRequest | None:
        """One request."""
        ...

    async def owners(self, query: OwnerQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        """Addresses of owners whom workloads name, in the order of `OwnerQuery.place`.

        `after` is the id of the last one of the page before, live or ended. An unknown id ends the list.
        """
        ...

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        """The live allocations of some addresses: of an address its owner comes first, then its holders."""
        ...

    async def owners_away(self, before: Mapping[str, Instant], limit: int) -> Sequence[Allocation]:
        """Some addresses of owners whose last holder left long ago: each pool has a moment of its own.

        Of owners who never had a holder there are none.
        """
        ...

    async def away(self, pool: str | None = None) -> Mapping[str, int]:
        """How many addresses of owners nobody holds, by pool; of one pool if it is named.

        Those of owners who never had a holder count too. Pools without any are missing.
        """
        ...

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        """The live allocations of one holder, by position."""
        ...

    async def allocation(self, allocation: int) -> Allocation | None:
        """One row, live or ended."""
        ...

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        """The row of a request with this key, live or ended. If there are several, the first by position."""
        ...

    async def fill(
        self, pools: Sequence[str], allocated: Mapping[str, int] = NOT_ADDED_UP
    ) -> Mapping[str, Fill]:
        """Sums over the blocks of some pools, without pools that have no blocks.

        Of pools in `allocated` the caller has added up already what is allocated.
        """
        ...

    async def allocated(self) -> Mapping[str, int]:
        """What is allocated in each pool that has blocks, by one sum over all blocks."""
        ...

    async def samples(self, pool: str, begin: Instant, end: Instant, limit: int) -> Sequence[UsageSample]:
        """The samples of a pool whose hours begin from `begin` to before `end`, oldest first."""
        ...

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        """Blocks of a pool: those freed after an instant, and those that contain an address between two.

        They are in the order of their numbers. `between` has the first and the last of the addresses.
        """
        ...

    async def blocks_of(self, wanted: Sequence[BlocksWanted]) -> Mapping[str, Sequence[Block]]:
        """Blocks of several pools by pool, without pools of which there are none; by their numbers.

        It is one reading, however many pools and stretches there are.
        """
        ...

    async def allocated_in(self, pool: str, stretches: Sequence[tuple[int, int]]) -> Sequence[int]:
        """How many addresses are allocated in the blocks of each stretch, from its first address to its last.

        Stretches begin and end where blocks do. It is one reading of sums, however many blocks there are.
        """
        ...

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        """Nodes that have called, and when each last did, as last written; in the order of their keys."""
        ...

    async def uses(self) -> Mapping[int, Instant]:
        """When each token was last used, by its id, as last written."""
        ...

    async def positions(self) -> Mapping[str, NetworkPosition]:
        """Where the changes of each cluster's pod network stand."""
        ...

    async def pod_network(
        self, cluster: str, known: Snapshot, after: int | None, only: Sequence[str] | None = None
    ) -> PodNetworkReading:
        """The pod network of a cluster: what has changed after a number, or all of it.

        `known` is what `snapshot` takes. If `only` is given, the addresses of these nodes suffice, and no
        changes are asked for. A cluster of which nothing was announced is at `NetworkPosition()`.
        """
        ...

    async def leases(self, node: NodeKey | None) -> Sequence[Lease]:
        """The leases of all nodes, or of one, by cluster and node."""
        ...

    async def seats(self, node: NodeKey) -> Sequence[Seat]:
        """The seats of a node, by number."""
        ...

    async def seat_rows(self, node: NodeKey) -> Sequence[Allocation]:
        """The live allocations that belong to a node's seats, whether a container has them or not."""
        ...

    async def seat_counts(self, pools: Sequence[str]) -> Mapping[NodeKey, SeatCount]:
        """The addresses of these pools that belong to seats, by node, without nodes that have none."""
        ...

    async def recalled_seats(self) -> Sequence[SeatKey]:
        """The seats that are recalled one by one, in their order."""
        ...

    async def nodes_with_seats(self) -> Set[NodeKey]:
        """The nodes that have seats."""
        ...

    async def noted_leases(self) -> Sequence[Lease]:
        """The leases for which another boot or store is noted, by cluster and node."""
        ...

    async def configurations(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        """Network configurations of seats, by their digests."""
        ...

    async def held_on(self, node: NodeKey, after: int, limit: int) -> Sequence[Allocation]:
        """The live allocations of a node's containers with ids above `after`, by id."""
        ...

    async def holdings(
        self, nodes: Sequence[NodeKey], pools: Sequence[str], most: int
    ) -> Mapping[NodeKey, NodeHolding]:
        """What some nodes hold, their blocks of these pools among it; without nodes that hold nothing.

        Of the addresses of each node `most` are counted, so that it costs no more however many there are.
        """
        ...

    async def censuses(self, node: NodeKey | None) -> Sequence[Census]:
        """What nodes last said of themselves, all or one, by cluster and node."""
        ...

    async def tallies(self, quota: str, limit: int) -> Sequence[TallyUse]:
        """The tallies of a quota that count most, by how much, then by family, cluster and namespace."""
        ...

    async def used(self, tallies: Sequence[Tally]) -> Mapping[Tally, int]:
        """What some tallies count."""
        ...

    async def most_used(self) -> Mapping[str, int]:
        """What the fullest tally of each quota counts, without quotas of which nothing is used."""
        ...

    async def hold_uses(self, holds: Sequence[str] | None) -> Mapping[str, HoldUse]:
        """What is left of some holds, and what workloads have taken, without holds that have nothing.

        None: of all that have anything, also of those that the catalogue does not know.
        """
        ...

    async def receipt_key(self) -> bytes:
        """The secret that signs what nodes are told: 32 random bytes, made with the database for good.

        A copy of the database has the same.
        """
        ...

    async def blocks_of_node(self, pool: str, node: NodeKey) -> Sequence[Block]:
        """The blocks of a pool that belong to a node, by number."""
        ...
