"""Durable ADDs a second over HTTP and how long each waits; the service on one core, the load on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks import group_commits, load
from benchmarks.empty_route import running_empty_route
from benchmarks.filled import check_held, held
from benchmarks.load import HTTP_OK, NO_CONTENT, Outcome, body, request
from benchmarks.pinning import LOAD_CORE, SERVER_CORE, running_ipamd
from benchmarks.quiet import until_quiet
from benchmarks.rounds import measured
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.postgres import Postgres, running_postgres
from tests.service import IpamdProcess

NAME: Final = "service"
ABOUT: Final = """\
ADDs of pods that nobody has heard of, over HTTP on loopback, from 100 nodes, into a /8 (and an IPv6 /64);
every answer durable but for memory (SQLite: WAL, synchronous=FULL; PostgreSQL: fsync and
synchronous_commit on). ipamd has one core, the load the other; PostgreSQL runs on both. At a fixed rate
calls come whether or not the last was answered (open loop), and a call's time begins when it was due.
What one service has put off is done before the next is asked.
Limits of the same run, in the same rounds: the same server with a route that decides and stores nothing,
and a bare loop of group commits of the same rows into the same tables."""
KEA: Final = (
    "For comparison, the best that anybody states for a SQL database: Kea DHCP's 10,135 (MySQL) and "
    "7,441 (PostgreSQL) leases a second. What differs: six cores against two that the load shares; DHCP "
    "over UDP, with 2.5 % of the exchanges allowed to fail, against HTTP with none; what its databases "
    "had to make durable is not stated."
)
POOLS: Final = {"bench": "10.0.0.0/8", "bench-6": "fd00:1::/64"}
CONNECTIONS: Final = (1, 32, 128)
FULL_LOAD: Final = 128
BATCH: Final = FULL_LOAD // 2
"""While one half of the callers waits for its commit, the other half collects."""

BATCHES: Final = 300
PACED: Final = 512
"""Connections at a fixed rate: enough that none is waited for unless ipamd is slow."""

RATES: Final = (1000, 5000)
SECONDS_AT_RATE: Final = {Scale.QUICK: 0.5, Scale.FULL: 2.0}
WANTED: Final = {"SQLite": 10_000, "PostgreSQL": 5_000}
DATABASES: Final = ("memory", *WANTED)
ADDING: Final = "ADD, {} at once"
TWO_FAMILIES: Final = "ADD of two families, 128 at once"
MIXED: Final = "ADD and DEL mixed, 128 at once"
AT_RATE: Final = "ADD at {:,}/s"
AT_A_QUARTER: Final = "ADD at a quarter of the full rate"

BAR_OF_A_QUARTER: Final = 8.0
BAR_OVER_THE_EMPTY_ROUTE: Final = 0.25


class _Round(NamedTuple):
    """The rates of the limits, and what each database (its name, with the kind of load) did."""

    empty: float
    commits: Mapping[str, float]
    outcomes: Mapping[tuple[str, str], Outcome]


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(NAME, "The service", ABOUT, notes=[KEA])
    rounds, calls = (1, 600) if scale is Scale.QUICK else (5, 5_000)
    seconds = SECONDS_AT_RATE[scale]
    with ExitStack() as context:
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
        postgres = context.enter_context(running_postgres(fsync="on", full_page_writes="on"))
        services = {name: context.enter_context(_service(name, postgres)) for name in DATABASES}
        bare = {name: context.enter_context(_migrated(name, postgres)) for name in WANTED}
        empty_route = context.enter_context(running_empty_route())
        os.sched_setaffinity(0, {LOAD_CORE})

        def one_of_each() -> _Round:
            empty = _empty(empty_route, calls).rate
            batches = BATCHES if scale is Scale.FULL else 20
            commits = {name: group_commits.measured(url, BATCH, batches) for name, url in bare.items()}
            return _Round(empty, commits, _outcomes(services, calls, seconds))

        found = measured(rounds, one_of_each)
    _report(table, found)
    return table


def _outcomes(
    services: Mapping[str, IpamdProcess], calls: int, seconds: float
) -> Mapping[tuple[str, str], Outcome]:
    found = {
        (name, kind): _run(service, kind, calls, seconds)
        for kind in _kinds()
        for name, service in services.items()
    }
    for name, service in services.items():
        quarter = found[name, ADDING.format(FULL_LOAD)].rate / 4
        asked = [["bench"]] * int(seconds * quarter)
        until_quiet()
        found[name, AT_A_QUARTER] = load.add(service.port, asked, PACED, rate=quarter)
    return found


def _kinds() -> list[str]:
    return [
        *(ADDING.format(number) for number in CONNECTIONS),
        TWO_FAMILIES,
        MIXED,
        *(AT_RATE.format(rate) for rate in RATES),
    ]


@contextmanager
def _service(name: str, postgres: Postgres) -> Iterator[IpamdProcess]:
    """A service on one of the databases, with its pools."""
    with ExitStack() as context:
        url = None
        if name == "memory":
            url = "memory://"
        if name == "PostgreSQL":
            url = postgres.url(context.enter_context(postgres.copy()))
        service = context.enter_context(running_ipamd(url))
        for pool, subnet in POOLS.items():
            service.create_pool(pool, subnet, cooldown=0)
        yield service


@contextmanager
def _migrated(name: str, postgres: Postgres) -> Iterator[str]:
    """The URL of a database with the tables and nothing in them."""
    if name == "PostgreSQL":
        with postgres.copy() as database:
            yield postgres.url(database)
        return
    with TemporaryDirectory(prefix="ipamd-") as folder:
        with running_ipamd(folder=Path(folder)) as service:
            service.stop()
        yield service.database_url


def _run(service: IpamdProcess, kind: str, calls: int, seconds: float) -> Outcome:
    """One load of a kind; raises if an address was lost."""
    before = {pool: held(service, pool) for pool in POOLS}
    until_quiet()
    outcome = _loaded(service.port, kind, calls, seconds)
    granted = outcome.statuses.get(HTTP_OK, 0)
    # In the mixed load as many are released as are granted.
    check_held(service, "bench", before["bench"] + granted)
    check_held(service, "bench-6", before["bench-6"] + granted * (kind == TWO_FAMILIES))
    return outcome


def _loaded(port: int, kind: str, calls: int, seconds: float) -> Outcome:
    for number in CONNECTIONS:
        if kind == ADDING.format(number):
            return load.add(port, [["bench"]] * (calls if number > 1 else calls // 10), number)
    for rate in RATES:
        if kind == AT_RATE.format(rate):
            return load.add(port, [["bench"]] * int(seconds * rate), PACED, rate=rate)
    if kind == TWO_FAMILIES:
        return load.add(port, [list(POOLS)] * calls, FULL_LOAD)
    return _mixed(port, calls // 2)


def _mixed(port: int, pairs: int) -> Outcome:
    """ADDs of new pods, and DELs of as many that were there before, in turn."""
    before = load.pods(pairs)
    load.add(port, [["bench"]] * pairs, FULL_LOAD, to=before)
    calls = []
    for new, old in zip(load.pods(pairs), before, strict=True):
        calls.append(request("/v1/cni/add", body(new, "bench")))
        calls.append(request("/v1/cni/del", body(old)))
    outcome = load.run(port, calls, FULL_LOAD)
    assert outcome.statuses == {HTTP_OK: pairs, NO_CONTENT: pairs}, outcome.statuses
    return outcome


def _empty(port: int, calls: int) -> Outcome:
    call = request("/v1/cni/add", body(load.pods(1)[0], "bench"))
    outcome = load.run(port, [call] * calls, FULL_LOAD)
    assert outcome.statuses == {HTTP_OK: calls}, outcome.statuses
    return outcome


def _report(table: Table, found: Sequence[_Round]) -> None:
    empty = figure("/s", [each.empty for each in found])
    commits = {name: figure("/s", [each.commits[name] for each in found]) for name in found[0].commits}
    table.add(Row(f"limit: empty route, {FULL_LOAD} at once", empty))
    for name, limit in commits.items():
        table.add(Row(f"limit: bare group commits of {BATCH} rows, {name}", limit))
    for name, kind in product(DATABASES, _kinds()):
        outcomes = [each.outcomes[name, kind] for each in found]
        if kind not in map(AT_RATE.format, RATES):
            rate = figure("/s", [outcome.rate for outcome in outcomes])
            bars = _bars_of_rate(name, kind)
            table.add(Row(f"{kind}, {name}", rate, "empty route", empty, bars))
            if name in commits:
                table.add(Row(f"{kind}, {name}", rate, "group commits", commits[name]))
        for share in (0.5, 0.99, 0.999):
            waits = figure("ms", [outcome.percentile(share) for outcome in outcomes])
            bars = _bars_of_wait(name, kind, share)
            table.add(Row(f"p{100 * share:g} of {kind}, {name}", waits, bars=bars))
    for name in DATABASES:
        _report_tail(table, name, [each.outcomes for each in found])


def _bars_of_rate(name: str, kind: str) -> tuple[Bar, ...]:
    if kind != ADDING.format(FULL_LOAD) or name not in WANTED:
        return ()
    absolute = Bar(WANTED[name], at_least=True, of_ratio=False)
    return (absolute, Bar(BAR_OVER_THE_EMPTY_ROUTE, at_least=True)) if name == "SQLite" else (absolute,)


def _report_tail(table: Table, name: str, found: Sequence[Mapping[tuple[str, str], Outcome]]) -> None:
    """How long the slowest in a hundred wait where there is room, beside a call that is alone."""
    waits = figure("ms", [each[name, AT_A_QUARTER].percentile(0.99) for each in found])
    alone = figure("ms", [each[name, ADDING.format(1)].percentile(0.5) for each in found])
    bars = (Bar(BAR_OF_A_QUARTER, at_least=False),) if name in WANTED else ()
    table.add(Row(f"p99 of {AT_A_QUARTER}, {name}", waits, "p50 of a call alone", alone, bars, paired=True))


def _bars_of_wait(name: str, kind: str, share: float) -> tuple[Bar, ...]:
    asked = (name, kind, share) == ("SQLite", AT_RATE.format(1000), 0.99)
    return (Bar(5, at_least=False, of_ratio=False),) if asked else ()
