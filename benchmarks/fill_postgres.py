"""Fills a PostgreSQL database as `fill` does SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import asyncpg

from benchmarks.fill import COLUMNS, ENDED, NODES, TAKEN_AT, Filling
from ipamd.backends.sql.rows import cursor_bytes

INDEXES: Final = (
    "SELECT indexname, indexdef FROM pg_indexes"
    " WHERE tablename IN ('allocation', 'block') AND indexname NOT IN (SELECT conname FROM pg_constraint)"
)
BLOCK_COLUMNS: Final = ("pool", "first", "free_since", "allocated", "last_freed", "next_free_since")
REACHED: Final = "INSERT INTO carving (pool, reached) VALUES ($1, $2)"
TAKEN: Final = "CREATE TEMPORARY TABLE taken (pool text, address bytea, place bigint)"
ALLOCATIONS: Final = f"""
INSERT INTO allocation ({COLUMNS})
SELECT 'default', address, pool, place, decode(md5(random()::text), 'hex'), 0, 'default', 'pods',
  'node-' || floor(random() * {{nodes}})::int, md5(random()::text) || md5(random()::text), 'eth0',
  'ns-' || floor(random() * 20)::int, 'pod-' || left(md5(random()::text), 10), md5(random()::text),
  '5afbf9ad-2078-45d6-888a-9b7fab4c0d3e', 4, 4026532000,
  {TAKEN_AT} + floor(random() * 1000000000)::bigint, 1, 1, 1, 1, 1
FROM taken"""


def fill_postgres(url: str, fillings: Iterable[Filling], *, past: bool = False, nodes: int = NODES) -> None:
    """Fill a migrated database that no ipamd has open; its pools exist already, and have no blocks."""
    asyncio.run(_fill(url, list(fillings), past=past, allocations=ALLOCATIONS.format(nodes=nodes)))


async def _fill(url: str, fillings: list[Filling], *, past: bool, allocations: str) -> None:
    connection = await asyncpg.connect(url, command_timeout=None)
    try:
        indexes = await connection.fetch(INDEXES)
        async with connection.transaction():
            for name, _ in indexes:
                await connection.execute(f"DROP INDEX {name}")
            await connection.execute(TAKEN)
            for filling in fillings:
                await connection.copy_records_to_table(
                    "block", records=filling.block_rows(), columns=BLOCK_COLUMNS
                )
                await connection.execute(REACHED, filling.pool, cursor_bytes(filling.beyond))
                await connection.copy_records_to_table("taken", records=filling.address_rows())
            await connection.execute(allocations)
            if past:
                await connection.execute(ENDED)
            for _, statement in indexes:
                await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
