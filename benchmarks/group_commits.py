"""A bare loop of group commits: the rows of ADDs into the same tables, nothing decided and nobody asked.

`python -m benchmarks.group_commits URL BATCH BATCHES` prints how many rows a second. The database is migrated
and empty. What a batch writes is what ipamd writes for as many ADDs: allocations and their blocks.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

import asyncpg
import uvloop
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from benchmarks.pinning import SERVER_CORE
from ipamd.backends.sql import statements
from ipamd.backends.sql.allocation_rows import allocation_values
from ipamd.backends.sql.rows import block_values
from ipamd.backends.sql.schema import ALLOCATION, BLOCK
from ipamd.backends.sql.sqlite.connection import WRITER_SETTINGS, SqliteSession
from ipamd.backends.sql.sqlite.deferred_terms import at_once, catch_up, merge
from ipamd.backends.sql.sqlite.file import path_of
from ipamd.models.allocation import Allocation, NetworkNamespace, Workload
from ipamd.models.block import HELD, Block, new_block
from ipamd.models.identity import Identity
from ipamd.models.issued import CallOrder

FIRST: Final = int(IPv4Address("10.0.0.64"))
BLOCK_SIZE: Final = 64
LANES: Final = 3

Batch = tuple[list[tuple[Any, ...]], list[Block]]


def allocation(number: int) -> Allocation:
    """What an ADD of a new pod leaves behind."""
    address = IPv4Address(FIRST + number)
    name = os.urandom(32).hex()
    holder = Identity("default", "pods", f"node-{number % 100}", name, "eth0")
    order = CallOrder(1 << 32, 1_000_000 + number)
    return Allocation(
        id=None,
        space="default",
        address=address,
        pool="bench",
        block=int(address) // BLOCK_SIZE * BLOCK_SIZE,
        holder=holder,
        digest=holder.digest,
        position=0,
        workload=Workload(f"ns-{number % 20}", f"pod-{name[:10]}", name[:32]),
        boot="5afbf9ad-2078-45d6-888a-9b7fab4c0d3e",
        netns=NetworkNamespace(4, 4026532000),
        since=time.time_ns() // 1000,
        until=None,
        ending=None,
        generation=1,
        taken=order,
        repeated=order,
    )


def batches(size: int, number: int) -> list[Batch]:
    """All rows, made before the clock starts; blocks are carved as they are reached."""
    made = []
    blocks: dict[int, Block] = {}
    for start in range(0, size * number, size):
        rows = [allocation(start + offset) for offset in range(size)]
        touched = []
        for row in rows:
            if row.block not in blocks:
                blocks[row.block] = new_block("bench", row.block, BLOCK_SIZE, None)
            block = blocks[row.block]
            block.free_since[int(row.address) - row.block] = HELD
            block.allocated += 1
            if block not in touched:
                touched.append(block)
        copies = [Block(b.pool, b.first, None, b.free_since[:], b.allocated, 0, _room(b)) for b in touched]
        made.append(([allocation_values(row) for row in rows], copies))
    return made


def _room(block: Block) -> int | None:
    return 0 if block.allocated < BLOCK_SIZE else None


def rows_a_second(url: str, size: int, number: int) -> float:
    """Run the loop; checks that every row is there."""
    made = batches(size, number)
    rate = _sqlite(url, made) if url.startswith("sqlite") else uvloop.run(_postgres(url, made))
    return float(rate)


def _sqlite(url: str, made: list[Batch]) -> float:
    connection = sqlite3.connect(path_of(url), isolation_level=None)
    for setting in WRITER_SETTINGS:
        connection.execute(setting)
    dialect = SQLiteDialect_pysqlite()
    begin_allocation = str(statements.BEGIN_ALLOCATION.construct.compile(dialect=dialect))
    session = SqliteSession(connection)
    put_off = 0
    marks = ", ".join("?" * len(BLOCK.columns))
    began = time.perf_counter()
    for rows, blocks in made:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(begin_allocation, rows)
        connection.executemany(f"INSERT OR REPLACE INTO block VALUES ({marks})", map(block_values, blocks))
        connection.execute("COMMIT")
        put_off += len(rows)
        most = at_once(len(rows))
        if put_off >= most:
            session.whole("BEGIN IMMEDIATE", catch_up(most, session))
            while session.whole("BEGIN IMMEDIATE", merge(most, session)):
                pass
            put_off -= most
    seconds = time.perf_counter() - began
    rows_made = sum(len(rows) for rows, _ in made)
    assert connection.execute("SELECT count(*) FROM allocation").fetchone() == (rows_made,)
    connection.execute("DELETE FROM allocation")
    connection.execute("DELETE FROM block")
    connection.close()
    return rows_made / seconds


async def _postgres(url: str, made: list[Batch]) -> float:
    connections = [await asyncpg.connect(url) for _ in range(LANES)]
    waiting = iter(made)
    began = time.perf_counter()
    await asyncio.gather(*(_write(connection, waiting) for connection in connections))
    seconds = time.perf_counter() - began
    rows_made = sum(len(rows) for rows, _ in made)
    assert await connections[0].fetchval("SELECT count(*) FROM allocation") == rows_made
    await connections[0].execute("DELETE FROM allocation; DELETE FROM block")
    for connection in connections:
        await connection.close()
    return rows_made / seconds


async def _write(connection: Any, waiting: Iterator[Batch]) -> None:
    written = [column.name for column in ALLOCATION.columns if column.name not in ("id", "listed")]
    insert = await _insert(connection, "allocation", written)
    names = [column.name for column in BLOCK.columns]
    changed = ", ".join(
        f"{name} = excluded.{name}" for name in names if name not in BLOCK.primary_key.columns
    )
    upsert = f"{await _insert(connection, 'block', names)} ON CONFLICT (pool, first) DO UPDATE SET {changed}"
    for rows, blocks in waiting:
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = on")
            await connection.execute(insert, *map(list, zip(*rows, strict=True)))
            await connection.execute(upsert, *map(list, zip(*map(block_values, blocks), strict=True)))


async def _insert(connection: Any, table: str, columns: Sequence[str]) -> str:
    """A statement that inserts rows, given as an array for each column."""
    types = await connection.fetch(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::text::regclass",
        table,
    )
    known = dict(map(tuple, types))
    arrays = ", ".join(f"${place}::{known[name]}[]" for place, name in enumerate(columns, 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"


def measured(url: str, size: int, number: int) -> float:
    """The same in a process of its own, on the core that ipamd has otherwise."""
    command = [sys.executable, "-m", "benchmarks.group_commits", url, str(size), str(number)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    if sys.argv[1].startswith("sqlite"):
        os.sched_setaffinity(0, {SERVER_CORE})
    print(rows_a_second(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
