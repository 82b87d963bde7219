"""Copies what a service on SQLite was told (pools, reservations, nodes) into PostgreSQL, without its blocks.

Each of them is a change of its own or a part of a large one: on PostgreSQL, with a disk that is waited for,
thousands of them take longer than all that is measured.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import Boolean, Table

from ipamd.backends.sql.schema import ALLOCATION, BLOCK, CARVING, METADATA, RELEASE, SCHEMA_VERSION

LEFT_OUT: Final = (ALLOCATION, BLOCK, CARVING, RELEASE, SCHEMA_VERSION)


def copy_to_postgres(database: Path, url: str) -> None:
    """Put what is told in a SQLite database in the place of what a migrated PostgreSQL database has."""
    asyncio.run(_copy(database, url))


async def _copy(database: Path, url: str) -> None:
    connection = await asyncpg.connect(url, command_timeout=None)
    try:
        with closing(sqlite3.connect(database)) as source:
            async with connection.transaction():
                for table in METADATA.sorted_tables:
                    if table not in LEFT_OUT:
                        await _copy_table(source, connection, table)
    finally:
        await connection.close()


async def _copy_table(source: sqlite3.Connection, target: asyncpg.Connection, table: Table) -> None:
    await target.execute(f"TRUNCATE {table.name} RESTART IDENTITY")
    names = [column.name for column in table.columns]
    await target.copy_records_to_table(table.name, records=_rows(source, table, names), columns=names)
    for column in table.columns:
        if column.autoincrement is True:
            after = (
                f"SELECT setval('{table.name}_{column.name}_seq', coalesce(max({column.name}), 0) + 1, false)"
            )
            await target.execute(f"{after} FROM {table.name}")


def _rows(source: sqlite3.Connection, table: Table, names: list[str]) -> Iterator[tuple[Any, ...]]:
    truths = [isinstance(column.type, Boolean) for column in table.columns]
    for row in source.execute(f"SELECT {', '.join(names)} FROM {table.name}"):
        yield tuple(
            bool(value) if truth and value is not None else value
            for value, truth in zip(row, truths, strict=True)
        )
