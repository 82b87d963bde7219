"""Reading for the check: blocks with what the allocations say of them, and all allocations in order."""

from __future__ import annotations

from collections.abc import Mapping

from ipamd.backends.interface import AuditedBlocks, AuditedRows, BlockId, BlockRecord, Counted, RowPosition
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally
from ipamd_file.ledger import Turn
from ipamd_file.store import Store


class FileAudit:
    """See `Audit`."""

    def __init__(self, store: Store, turn: Turn) -> None:
        self._store = store
        self._turn = turn

    async def blocks(self, after: BlockId | None, limit: int) -> AuditedBlocks:
        def read() -> AuditedBlocks:
            names = sorted({block.pool for block in self._store.values("block")})
            blocks = [block for name in names for block in self._store.blocks_of(name)]
            beyond = [one for one in blocks if after is None or (one.pool, one.first) > _key(after)]
            return AuditedBlocks(
                self._store.revision,
                self._store.snapshot().pools,
                [(block, self._record(block)) for block in beyond[:limit]],
            )

        return await self._turn(read)

    def _record(self, block: Block) -> BlockRecord:
        pool: Pool | None = self._store.get("pool", block.pool)
        if pool is None:
            return BlockRecord((), {}, 0, reused=True)
        return record_of(self._store, pool, block.first)

    async def rows(self, begin: RowPosition | None, limit: int) -> AuditedRows:
        def read() -> AuditedRows:
            rows = sorted(self._store.values("allocation"), key=_place)
            found = [row for row in rows if begin is None or _place(row) >= begin][:limit]
            wanted = {(row.pool, row.block) for row in found if row.until is None}
            blocks = {BlockId(*key) for key in wanted if self._store.get("block", key) is not None}
            return AuditedRows(self._store.revision, self._store.snapshot().pools, found, blocks)

        return await self._turn(read)

    async def tallies(self, quota: Quota) -> tuple[Mapping[Tally, int], Mapping[Tally, int]]:
        def read() -> tuple[dict[Tally, int], dict[Tally, int]]:
            return self._store.tallies_of(quota.name), self._store.live_tallies(quota)

        return await self._turn(read)

    async def counted(self) -> Counted:
        def read() -> Counted:
            return Counted(self._store.get("number", "counted", 0), self._store.get("number", "forgotten", 0))

        return await self._turn(read)

    async def remembered_after(self, moment: Instant) -> int:
        def read() -> int:
            known = self._store.values("release")
            return sum(release.until > moment for releases in known for release in releases)

        return await self._turn(read)


def record_of(store: Store, pool: Pool, first: int) -> BlockRecord:
    """See `Transaction.record`."""
    inside = pool.addresses_of(first, first + pool.block_size - 1)
    rows: list[Allocation] = [
        row
        for row in sorted(store.values("allocation"), key=_place)
        if (row.space, row.pool) == (pool.space, pool.name) and inside.contains(row.address)
    ]
    return BlockRecord(
        live=[row for row in rows if row.until is None and not row.slot],
        ended={  # the last one stays
            value: row.until
            for row in sorted(rows, key=lambda row: (row.since, row.stored_id))
            if row.until is not None and row.gave_back
            for value in pool.numbers_in_block(row.addresses, first)
        },
        forgotten=store.get("number", "forgotten", 0),
        reused=store.get("removed", pool.name) is not None,
    )


def _key(block: BlockId) -> tuple[str, int]:
    return block.pool, block.first


def _place(row: Allocation) -> RowPosition:
    assert row.id is not None  # a stored row has one
    return RowPosition(row.space, row.address.packed, row.since, row.id)
