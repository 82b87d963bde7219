"""All that the memory backend keeps."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from ipamd.backends.memory.allocations import Allocations
from ipamd.backends.memory.announcing import Announcing
from ipamd.backends.memory.blocks import Blocks
from ipamd.backends.memory.journal import Journal
from ipamd.backends.memory.leases import Leases
from ipamd.backends.memory.remembered import FormerAddresses, Releases
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogEntry
from ipamd.models.change_request import ChangeRequest
from ipamd.models.instant import Instant
from ipamd.models.lease import SeatCount, SeatKey, count_seats, seat_owner
from ipamd.models.node import Boot, NodeKey
from ipamd.models.quota import Quota, Tally, counted

REVISION: Final = "revision"


class Tables:
    """All that the memory backend keeps."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.allocations = Allocations(self.journal)
        self.blocks = Blocks(self.journal)
        self.releases = Releases(self.journal)
        self.leases = Leases(self.journal)
        self.former = FormerAddresses(self.journal)
        self.tallies: dict[Tally, int] = {}
        self.catalogue: dict[str, Snapshot] = {REVISION: Snapshot()}
        self.boots: dict[NodeKey, tuple[Boot, ...]] = {}
        self.contacts: dict[NodeKey, Instant] = {}
        self.censuses: dict[NodeKey, Census] = {}
        self.receipt_key = secrets.token_bytes(32)
        self.uses: dict[int, Instant] = {}
        self.removed_pools: dict[str, None] = {}
        self.announcing = Announcing(self.journal)
        self.requests: dict[int, ChangeRequest] = {}
        self.samples: dict[tuple[str, Instant], int] = {}
        self.log: dict[int, LogEntry] = {}
        self.logged = 0
        """The id of the latest entry of the log. It is never taken back."""
        self.forgotten: Instant = 0
        self.counted: Instant = 0

    @property
    def snapshot(self) -> Snapshot:
        """The catalogue as it stands."""
        return self.catalogue[REVISION]

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        self.journal.put(self.catalogue, REVISION, snapshot)

    def write_tallies(self, tallies: Mapping[Tally, int]) -> None:
        """Write what tallies count from now on."""
        for tally, used in tallies.items():
            if used:
                self.journal.put(self.tallies, tally, used)
            else:
                self.journal.drop(self.tallies, tally)

    def live_tallies(self, quota: Quota) -> dict[Tally, int]:
        """What the tallies of a quota should say."""
        return counted(quota, (row for row in self.allocations.rows.values() if row.until is None))

    def drop_tallies(self, quota: str) -> None:
        """Forget what a quota counts."""
        self.write_tallies({tally: 0 for tally in self.tallies if tally.quota == quota})

    def seat_rows(self, node: NodeKey) -> list[Allocation]:
        """The live rows of a node's seats."""
        rows = []
        for seat in self.leases.of_node(node):
            key = SeatKey(node, seat.number)
            rows += self.allocations.held_by(seat_owner(key).digest) + self.allocations.pinned([key])
        return rows

    def seat_counts(self, pools: Sequence[str]) -> dict[NodeKey, SeatCount]:
        """The addresses of some pools that belong to seats, by node."""
        return count_seats(row for row in self.allocations.rows.values() if row.pool in pools)

    def blocks_numbered(self, pool: str, numbers: Sequence[int]) -> list[Block]:
        """Copies of those of the blocks that exist."""
        found = (self.blocks.get(pool, first) for first in numbers)
        return [block for block in found if block is not None]
