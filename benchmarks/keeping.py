"""What it costs to keep: bytes for each row, memory, the time of a start, a page, `usage` and a GC."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from benchmarks import load
from benchmarks.fill import BLOCK_SIZE, full_blocks
from benchmarks.filled import check_held, running_filled
from benchmarks.load import Pod, body, pods
from benchmarks.pinning import LOAD_CORE, SERVER_CORE, running_ipamd, start
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.postgres import Postgres, running_postgres
from tests.service import IpamdProcess

NAME: Final = "keeping"
ABOUT: Final = """\
Bytes are those of whole pages, indexes included: of a live row with its share of the blocks, of {rows:,}
ADDs; of an ended one, and of a release, which is remembered for 15 minutes, of as many pods that came and
went after as many others. Memory is what ipamd has resident after {calls:,} ADDs, pages, `usage` and GC,
SQLite's page cache included. A start is from the process to the first yes of /readyz. A GC names 1,000
attachments of its node, which are all that it has."""
POOL: Final = "bench"
WIDE: Final = IPv4Network("10.0.0.0/8")
CONNECTIONS: Final = 128
ATTACHMENTS: Final = 1_000
GONE: Final = 100
NODE: Final = load.NODES
"""A node that has nothing but those attachments."""

MEMORY_BAR: Final = 250
TABLES: Final = ("allocation", "block", "release")
SQLITE_BYTES: Final = """
SELECT sum(pgsize) FROM dbstat
WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?)"""

Sizes = Mapping[str, int]


def measure(scale: Scale) -> Table:
    """Run it."""
    rows, calls, rounds = (1_000, 500, 1) if scale is Scale.QUICK else (10_000, 10_000, 20)
    table = Table(NAME, "What it costs to keep", ABOUT.format(rows=rows, calls=calls))
    if scale is not Scale.GROWTH:
        with running_ipamd() as service:
            _bytes(table, service, rows, "SQLite", lambda: _sqlite_sizes(service.database))
        with (
            running_postgres() as postgres,
            postgres.copy() as database,
            running_ipamd(postgres.url(database)) as service,
        ):
            _bytes(table, service, rows, "PostgreSQL", lambda: _postgresql_sizes(postgres, database))
    for taken in _sizes(scale):
        _with_taken(table, taken, calls, rounds)
    os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    return table


def _sizes(scale: Scale) -> tuple[int, ...]:
    if scale is Scale.FULL:
        return 0, 1_000_000
    return (0, 10_000) if scale is Scale.QUICK else (10_000_000,)


def _bytes(table: Table, service: IpamdProcess, rows: int, name: str, sizes: Callable[[], Sizes]) -> None:
    service.create_pool(POOL, str(WIDE), cooldown=0)
    empty = sizes()
    first = _come(service, rows)
    live = sizes()
    load.delete(service.port, first, CONNECTIONS)
    one_past = sizes()
    load.delete(service.port, _come(service, rows), CONNECTIONS)
    two_pasts = sizes()
    check_held(service, POOL, 0)
    for measure, tables, before, after in (
        ("a live allocation", ("allocation", "block"), empty, live),
        ("a row of history", ("allocation",), one_past, two_pasts),
        ("a release that is remembered", ("release",), one_past, two_pasts),
    ):
        grown = sum(after[each] - before[each] for each in tables)
        table.add(Row(f"{measure}, {name}", figure("bytes", [grown / rows])))


def _come(service: IpamdProcess, number: int) -> list[Pod]:
    coming = pods(number)
    load.add(service.port, [[POOL]] * number, CONNECTIONS, to=coming)
    return coming


def _sqlite_sizes(database: Path) -> Sizes:
    with closing(sqlite3.connect(database)) as connection:
        return {name: connection.execute(SQLITE_BYTES, (name,)).fetchone()[0] for name in TABLES}


def _postgresql_sizes(postgres: Postgres, database: str) -> Sizes:
    asked = {name: f"SELECT pg_total_relation_size('{name}')" for name in TABLES}
    return {name: int(postgres.sql(statement, database)[0][0]) for name, statement in asked.items()}


def _with_taken(table: Table, taken: int, calls: int, rounds: int) -> None:
    fillings = [full_blocks(POOL, int(WIDE[0]) + BLOCK_SIZE, taken)] if taken else []
    expected = sum(filling.taken for filling in fillings) + calls + ATTACHMENTS
    with running_filled({POOL: str(WIDE)}, fillings) as service:
        starts = [_start_again(service) for _ in range(min(rounds, 3))]
        os.sched_setaffinity(0, {LOAD_CORE})
        _come(service, calls)
        kept = [Pod(pod.container, NODE) for pod in pods(ATTACHMENTS)]
        load.add(service.port, [[POOL]] * ATTACHMENTS, CONNECTIONS, to=kept)
        reading = {
            "a page of 100 allocations": lambda: _read(service, f"/v1/allocations?pool={POOL}&limit=100"),
            "`usage` of a pool": lambda: _read(service, f"/v1/pools/{POOL}/usage"),
            "a GC that finds all as it should be": lambda: _collect(service, kept),
        }
        times = {name: [1000 * _seconds(ask) for _ in range(rounds)] for name, ask in reading.items()}
        check_held(service, POOL, expected)
        times[f"a GC that frees {GONE}"] = [1000 * _seconds(lambda: _collect(service, kept[GONE:]))]
        check_held(service, POOL, expected - GONE)
        memory = _resident(service)
    state = f"{taken:,} taken" if taken else "nothing taken"
    bars = (Bar(MEMORY_BAR, at_least=False, of_ratio=False),) if taken == 1_000_000 else ()
    table.add(Row(f"memory, {state}", figure("MB", [memory]), bars=bars))
    table.add(Row(f"a start, {state}", figure("s", starts)))
    for name, each in times.items():
        table.add(Row(f"{name}, {state}", figure("ms", each)))


def _start_again(service: IpamdProcess) -> float:
    service.stop()
    return _seconds(lambda: start(service))


def _read(service: IpamdProcess, path: str) -> None:
    service.http.get(path).raise_for_status()


def _collect(service: IpamdProcess, kept: list[Pod]) -> None:
    call: dict[str, Any] = json.loads(body(kept[0], POOL))
    call["config"]["cniVersion"] = "1.1.0"
    call["config"]["cni.dev/valid-attachments"] = [
        {"containerID": pod.container.decode(), "ifname": "eth0"} for pod in kept
    ]
    answer = service.http.post("/v1/cni/gc", json=call)
    assert answer.status_code == HTTPStatus.NO_CONTENT, answer.text


def _resident(service: IpamdProcess) -> float:
    """Millions of bytes of the service that are in memory."""
    assert service.process is not None
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _seconds(ask: Callable[[], None]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began
