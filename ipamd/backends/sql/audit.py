"""Reading for the check, in SQL: blocks beside what the allocations say, and all allocations in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, bindparam, select, tuple_

from ipamd.backends.interface import AuditedBlocks, AuditedRows, BlockId, BlockRecord, Counted, RowPosition
from ipamd.backends.sql import statements, tallies
from ipamd.backends.sql.ledger import Reader
from ipamd.backends.sql.pages import allocations
from ipamd.backends.sql.pool_rows import pool_of
from ipamd.backends.sql.record import record_of
from ipamd.backends.sql.rows import block_of, number_bytes
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, BLOCK
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.backends.sql.statements import BLOCK_COLUMNS
from ipamd.models.allocation import Allocation
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally

BLOCKS_AFTER: Final = Statement(
    select(*BLOCK_COLUMNS)
    .where(tuple_(BLOCK.c.pool, BLOCK.c.first) > tuple_(bindparam("of_pool"), bindparam("number")))
    .order_by(BLOCK.c.pool, BLOCK.c.first)
    .limit(bindparam("most")),
    ("of_pool", "number", "most"),
)

_PLACE: Final = (ALLOCATION.c.space, ALLOCATION.c.address, ALLOCATION.c.since, ALLOCATION.c.id)


def _rows_from(condition: ColumnElement[bool]) -> Statement:
    """The first rows that meet a condition, from a place on."""
    return Statement(
        select(*ALLOCATION_COLUMNS)
        .where(tuple_(*_PLACE) >= tuple_(*(bindparam(f"of_{column.name}") for column in _PLACE)), condition)
        .order_by(*_PLACE)
        .limit(bindparam("most")),
        (*(f"of_{column.name}" for column in _PLACE), "most"),
    )


LIVE_FROM: Final = _rows_from(ALLOCATION.c.until.is_(None))
ENDED_FROM: Final = _rows_from(ALLOCATION.c.until.is_not(None))
FIRST_PLACE: Final = RowPosition("", b"", 0, 0)


class SqlAudit:
    """See `Audit`; `deferred` as for `SqlLedger`."""

    def __init__(self, reader: Reader, *, deferred: bool = False) -> None:
        self._reader = reader
        self._deferred = deferred

    async def blocks(self, after: BlockId | None, limit: int) -> AuditedBlocks:
        async def reading(session: DatabaseSession) -> AuditedBlocks:
            begin = ("", b"") if after is None else (after.pool, number_bytes(after.first))
            found = [block_of(row) for row in await session.fetch(BLOCKS_AFTER, *begin, limit)]
            pools = await _pools(session, {block.pool for block in found})
            return AuditedBlocks(
                await _revision(session),
                pools,
                [(block, await _record(session, pools.get(block.pool), block.first)) for block in found],
            )

        return await self._reader.read(reading)

    async def rows(self, begin: RowPosition | None, limit: int) -> AuditedRows:
        async def reading(session: DatabaseSession) -> AuditedRows:
            place = begin or FIRST_PLACE
            parts = [await allocations(session, each, *place, limit) for each in (LIVE_FROM, ENDED_FROM)]
            found = list(islice(merge(*parts, key=_position), limit))
            pools = await _pools(session, {row.pool for row in found if row.until is None})
            return AuditedRows(await _revision(session), pools, found, await _existing(session, found))

        return await self._reader.read(reading)

    async def tallies(self, quota: Quota) -> tuple[Mapping[Tally, int], Mapping[Tally, int]]:
        async def reading(session: DatabaseSession) -> tuple[dict[Tally, int], dict[Tally, int]]:
            said = await tallies.recorded(session, quota.name)
            return said, await tallies.live(session, quota, deferred=self._deferred)

        return await self._reader.read(reading)

    async def counted(self) -> Counted:
        [(until, forgotten)] = await self._reader.read(lambda session: session.fetch(statements.COUNTED))
        return Counted(until, forgotten)

    async def remembered_after(self, moment: Instant) -> int:
        [(count,)] = await self._reader.read(lambda session: session.fetch(statements.RELEASES_AFTER, moment))
        return int(count)


def _position(row: Allocation) -> RowPosition:
    return RowPosition(row.space, row.address.packed, row.since, row.stored_id)


async def _record(session: DatabaseSession, pool: Pool | None, first: int) -> BlockRecord:
    if pool is None:
        return BlockRecord((), {}, 0, reused=True)
    return await record_of(session, pool, first)


async def _pools(session: DatabaseSession, names: Iterable[str]) -> dict[str, Pool]:
    rows = [row for name in names for row in await session.fetch(statements.POOL_BY_NAME, name)]
    return {pool.name: pool for pool in map(pool_of, rows)}


async def _revision(session: DatabaseSession) -> int:
    [(revision,)] = await session.fetch(statements.REVISION)
    return int(revision)


async def _existing(session: DatabaseSession, rows: Sequence[Allocation]) -> set[BlockId]:
    """Which of the blocks of live rows there are."""
    wanted: Mapping[str, set[bytes]] = defaultdict(set)
    for row in rows:
        if row.until is None and row.block >= 0:
            wanted[row.pool].add(number_bytes(row.block))
    found: set[BlockId] = set()
    for pool, numbers in wanted.items():
        for keys in statements.in_pieces(sorted(numbers)):
            blocks = await session.fetch(statements.blocks_by_number(len(keys)), pool, *keys)
            found.update(BlockId(pool, block_of(block).first) for block in blocks)
    return found
