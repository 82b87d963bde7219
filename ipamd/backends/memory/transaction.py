"""A unit of work on the allocations in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipamd.backends.hold_rows import found_for
from ipamd.backends.interface import (
    BlockId,
    BlockRecord,
    BlockSearch,
    CatalogueMoved,
    Changes,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.backends.memory.audit import record_of
from ipamd.backends.memory.tables import Tables
from ipamd.backends.tallies import changed
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool
from ipamd.models.quota import Tally


class MemoryTransaction:
    """See `Transaction`. Nothing else runs meanwhile, so that nothing needs a lock."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, digests: Sequence[Digest]) -> Found:
        return Found(
            held={digest: self._tables.allocations.held_by(digest) for digest in digests},
            releases={digest: self._tables.releases.rows.get(digest, ()) for digest in digests},
        )

    async def leases(self, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
        rows = self._tables.leases.rows
        return {node: rows[node] for node in nodes if node in rows}

    async def census(self, node: NodeKey) -> Census | None:
        return self._tables.censuses.get(node)

    async def pinned(self, seats: Sequence[SeatKey]) -> Sequence[Allocation]:
        return self._tables.allocations.pinned(seats)

    async def former(self, workloads: Sequence[Digest]) -> Mapping[Digest, Sequence[FormerAddress]]:
        return {workload: self._tables.former.of(workload) for workload in workloads}

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        return Tallied({tally: self._tables.tallies.get(tally, 0) for tally in wanted})

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        allocations = self._tables.allocations
        return [row for each in addresses for row in allocations.of_address(each.space, each.address)]

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        return [
            LockedRows(found_for(each, self._tables.allocations.held_by(each.digest))) for each in searches
        ]

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        return [Locked(self._matching(search)) for search in searches]

    def _matching(self, search: BlockSearch) -> list[Block]:
        if isinstance(search, BlockId):
            return self._tables.blocks_numbered(search.pool, [search.first])
        return self._tables.blocks.search(search)

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        return record_of(self._tables, pool, first)

    async def revision(self) -> int:
        return self._tables.snapshot.revision

    async def write(self, changes: Changes) -> None:
        if changes.decided_at not in (None, self._tables.snapshot.revision):
            raise CatalogueMoved
        allocations = self._tables.allocations
        for change in changes.owners:
            allocations.change_owner(change)
        for ended in changes.ended:
            allocations.end(ended)
        for number in changes.dropped:
            allocations.drop(number)
        for repeated in changes.repeated:
            allocations.repeat(repeated)
        for earlier in changes.set_back:
            allocations.set_back(earlier)
        for begun in changes.begun:
            allocations.begin(begun)
        for block in changes.blocks:
            self._tables.blocks.write(block)
        for release in changes.remembered:
            self._tables.releases.remember(release)
        for one in changes.former:
            self._tables.former.write(one)
        self._tables.write_tallies(changed(changes.tallies, self._tables.tallies))
        self._tables.leases.write(
            changes.leases, changes.seats, changes.returned, changes.recalled, changes.configurations
        )
        for census in changes.censuses:
            self._tables.journal.put(self._tables.censuses, census.node, census)
        self._tables.announcing.announce(changes.announced)

    async def pin_catalogue(self) -> int:
        return self._tables.snapshot.revision

    async def cursor(self, pool: str) -> int:
        return self._tables.blocks.cursors.get(pool, 0)

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        new = sum(self._tables.blocks.add(block) for block in blocks)
        if cursor is not None:
            self._tables.journal.put(self._tables.blocks.cursors, pool, cursor)
        return new
