"""Reading for the check from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from ipamd.backends.interface import AuditedBlocks, AuditedRows, BlockId, BlockRecord, Counted, RowPosition
from ipamd.backends.memory.tables import Tables
from ipamd.models.allocation import Allocation
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally


class MemoryAudit:
    """See `Audit`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def blocks(self, after: BlockId | None, limit: int) -> AuditedBlocks:
        snapshot, blocks = self._tables.snapshot, self._tables.blocks
        every = sorted((pool, first) for pool, rows in blocks.rows.items() for first in rows)
        keys = [key for key in every if after is None or key > (after.pool, after.first)][:limit]
        found = [block for pool, first in keys for block in self._tables.blocks_numbered(pool, [first])]
        pools = snapshot.pools
        return AuditedBlocks(
            snapshot.revision,
            pools,
            [
                (block, record_of(self._tables, pools[block.pool], block.first))
                if block.pool in pools
                else (block, BlockRecord((), {}, 0, reused=True))
                for block in found
            ],
        )

    async def rows(self, begin: RowPosition | None, limit: int) -> AuditedRows:
        ordered = sorted(self._tables.allocations.rows.values(), key=place_of)
        found = list(islice((row for row in ordered if begin is None or place_of(row) >= begin), limit))
        wanted = {BlockId(row.pool, row.block) for row in found if row.until is None}
        blocks = {each for each in wanted if each.first in self._tables.blocks.rows.get(each.pool, {})}
        snapshot = self._tables.snapshot
        return AuditedRows(snapshot.revision, snapshot.pools, found, blocks)

    async def tallies(self, quota: Quota) -> tuple[Mapping[Tally, int], Mapping[Tally, int]]:
        said = {tally: used for tally, used in self._tables.tallies.items() if tally.quota == quota.name}
        return said, self._tables.live_tallies(quota)

    async def counted(self) -> Counted:
        return Counted(self._tables.counted, self._tables.forgotten)

    async def remembered_after(self, moment: Instant) -> int:
        return self._tables.releases.after(moment)


def place_of(row: Allocation) -> RowPosition:
    """Where a stored row stands."""
    assert row.id is not None  # a stored row has one
    return RowPosition(row.space, row.address.packed, row.since, row.id)


def record_of(tables: Tables, pool: Pool, first: int) -> BlockRecord:
    """See `Transaction.record`."""
    inside = pool.addresses_of(first, first + pool.block_size - 1)
    of_pool = (row for row in tables.allocations.rows.values() if _is_of(row, pool))
    rows = [row for row in of_pool if inside.contains(row.address)]
    return BlockRecord(
        live=[row for row in rows if row.until is None and not row.slot],
        ended=latest_endings(rows, pool, first),
        forgotten=tables.forgotten,
        reused=pool.name in tables.removed_pools,
    )


def latest_endings(rows: Iterable[Allocation], pool: Pool, block: int) -> dict[int, int]:
    """When of each number of a block the allocation ended that was the last to begin."""
    latest: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: (row.since, row.stored_id)):
        if row.gave_back and row.until is not None:
            latest.update(dict.fromkeys(pool.numbers_in_block(row.addresses, block), row.until))
    return latest


def _is_of(row: Allocation, pool: Pool) -> bool:
    return row.pool == pool.name and row.space == pool.space
