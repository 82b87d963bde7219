"""That listings tell the same of what was allocated a moment ago and long before, in pages of any size."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ipamd.backends.conformance.examples import NOW, allocation, container
from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend
from ipamd.backends.sql.sqlite.deferred_terms import BATCHES, FEWEST
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.backends.conftest import begin, end
from tests.backends.matching import matches

BATCH = 32
AT_ONCE = BATCHES * (BATCH + 1)
"""Of each batch one row ends."""
ROWS = 4 * AT_ONCE + AT_ONCE // 2
PAGE = 7

ENOUGH_TO_MERGE = 4
"""So many segments of one level are merged."""

MANY = 12 * BATCHES * BATCH
"""Rows of twelve segments: of sixteen FTS5 would make one by itself."""

LISTINGS: list[dict[str, Any]] = [
    {"node": "node-1"},
    {"node": "node-1", "cluster": "default"},
    {"namespace": "ns-2"},
    {"namespace": "ns-2", "name": "pod-3"},
    {"namespace": "ns-2", "node": "node-2"},
    {"name": "pod-3"},
]


def row(number: int) -> Allocation:
    """One of many, whose order by time is not that by address."""
    return allocation(
        f"10.0.{number % 64}.{number // 64}",
        holder=container(f"c{number}", node=f"node-{number % 3}"),
        workload=Workload(f"ns-{number % 5}", f"pod-{number % 7}", None),
        since=NOW + number // 3,
    )


async def filled(backend: Backend) -> list[Allocation]:
    """Rows as they are stored, every third of them ended; batch after batch, as ADDs write them."""
    stored: list[Allocation] = []
    for first in range(0, ROWS, BATCH):
        begun = await begin(backend, *(row(number) for number in range(first, first + BATCH)))
        stored += [await end(backend, begun[0], NOW + ROWS), *begun[1:]]
    return stored


AllocateCall = Callable[[int | None], Awaitable[Sequence[Allocation]]]


async def all_pages(ask: AllocateCall) -> list[Allocation]:
    found: list[Allocation] = []
    while page := await ask(found[-1].id if found else None):
        found += page
    return found


async def page_of(backend: Backend, query: AllocationQuery, last: int | None) -> Sequence[Allocation]:
    return await backend.ledger.page(query, last, PAGE)


async def history_of(backend: Backend, query: HistoryQuery, last: int | None) -> Sequence[Allocation]:
    return await backend.ledger.history(query, last, PAGE)


def counted(path: Path) -> tuple[int, int]:
    """How many rows have terms, and how many wait for them."""
    with closing(sqlite3.connect(path)) as connection:
        [found] = connection.execute(
            "SELECT sum(row.id <= reached), sum(row.id > reached) FROM allocation AS row, listing_reached"
        )
    having, waiting = found
    return having, waiting


def segments(path: Path) -> list[int]:
    """How many segments the index has on each level; see FTS5's own description of its structure record."""
    with closing(sqlite3.connect(path)) as connection:
        [(record,)] = connection.execute("SELECT block FROM listing_data WHERE id = 10")
    numbers = varints(record[4:])
    levels, _, _ = next(numbers), next(numbers), next(numbers)
    found = []
    for _ in range(levels):
        _, here = next(numbers), next(numbers)
        found.append(here)
        for _ in range(3 * here):
            next(numbers)
    return found


def varints(record: bytes) -> Iterator[int]:
    """Numbers of SQLite's kind: seven bits a byte, the highest first; where the eighth is set more follow."""
    number = 0
    for byte in record:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            yield number
            number = 0


async def test_pages_are_whole_and_in_order_whatever_has_terms(sqlite: Backend) -> None:
    stored = await filled(sqlite)

    for filters in LISTINGS:
        query, past = AllocationQuery(**filters), HistoryQuery(**filters)
        live = await all_pages(partial(page_of, sqlite, query))
        history = await all_pages(partial(history_of, sqlite, past))

        meant = [each for each in stored if matches(each, filters)]
        assert live == sorted((each for each in meant if each.until is None), key=query.place), filters
        assert history == sorted(meant, key=lambda each: (each.since, each.id or 0), reverse=True), filters


async def test_most_rows_have_terms_and_few_wait(sqlite: Backend, database_path: Path) -> None:
    await filled(sqlite)
    await sqlite.close()  # which waits for what is under way

    having, waiting = counted(database_path)

    assert having >= AT_ONCE
    assert 0 < waiting < AT_ONCE + BATCH


async def test_what_a_burst_leaves_is_done_in_the_lull_behind_it(
    sqlite: Backend, database_path: Path
) -> None:
    await filled(sqlite)

    async with asyncio.timeout(60):  # a busy machine's
        while counted(database_path)[1] >= FEWEST or max(segments(database_path)) >= ENOUGH_TO_MERGE:
            await asyncio.sleep(0.02)


async def test_segments_are_merged_while_calls_come(sqlite: Backend, database_path: Path) -> None:
    for first in range(0, MANY, BATCH):
        await begin(sqlite, *(row(number) for number in range(first, first + BATCH)))
    await sqlite.close()

    assert len(segments(database_path)) > 1


async def test_a_database_that_is_closed_at_once_says_nothing_of_terms(
    sqlite: Backend, database_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await begin(sqlite, *(row(number) for number in range(FEWEST)))
    await sqlite.close()

    assert "terms" not in capsys.readouterr().out
    assert counted(database_path) == (0, FEWEST)  # whoever opens it next goes on


async def test_what_an_older_ipamd_allocated_is_found_too(sqlite: Backend, database_path: Path) -> None:
    await begin(sqlite, row(0))
    await sqlite.close()
    with closing(sqlite3.connect(database_path, isolation_level=None)) as older:
        names = [name for _, name, *_ in older.execute("PRAGMA table_info(allocation)")]
        given = ", ".join(name for name in names if name not in ("id", "listed", "address", "digest"))
        older.execute(
            f"INSERT INTO allocation ({given}, address, digest, listed)"
            f" SELECT {given}, X'0a000909', X'{'09' * 16}', 0 FROM allocation"
        )

    again = await open_backend(f"sqlite:///{database_path}")
    found = await again.ledger.page(AllocationQuery(node="node-0"), None, PAGE)
    await again.close()

    assert [str(each.address) for each in found] == ["10.0.0.0", "10.0.9.9"]
