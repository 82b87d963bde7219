"""What the page costs on a service that keeps as much as the largest installations."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx
from playwright.sync_api import Page, sync_playwright

from benchmarks import load
from benchmarks.open_pages import open_pages
from benchmarks.page_views import COMPARED, VIEWS
from benchmarks.pinning import LOAD_CORE, SERVER_CORE, pin, running_ipamd
from benchmarks.population import WIDE, Population, running_populated
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.counting import Counted
from tests.postgres import Postgres, running_postgres
from tests.service import IpamdProcess

NAME: Final = "page"
ABOUT: Final = """\
A service with {pools:,} pools, {reservations:,} reservations, {addresses:,} allocations that live (half of
them in one /8) and half as many that have ended, and {nodes:,} nodes of a pod network; ipamd on one core,
who looks on the other. A view's time is that of its whole answer over HTTP, in turns with
`GET /v1/pools/NAME` of the same service. First paint is Chromium's, beside that of a service without pools.
ADDs: 128 at once, in turns without an open page and with one of each kind that is live."""
POPULATIONS: Final = {
    Scale.QUICK: Population(pools=100, reservations=1_000, addresses=100_000, nodes=50),
    Scale.FULL: Population(pools=1_000, reservations=10_000, addresses=1_000_000, nodes=500),
    Scale.GROWTH: Population(pools=10_000, reservations=100_000, addresses=10_000_000, nodes=5_000),
}
ROUNDS: Final = {Scale.QUICK: 3, Scale.FULL: 15, Scale.GROWTH: 15}
PAINTS: Final = {Scale.QUICK: 1, Scale.FULL: 5, Scale.GROWTH: 5}
LOADS: Final = {Scale.QUICK: (1, 600), Scale.FULL: (7, 10_000), Scale.GROWTH: (7, 10_000)}
AT_ONCE: Final = 128
CHROMIUM: Final = "/usr/bin/chromium"
PAINTED: Final = """
new Promise(done => new PerformanceObserver(
  seen => seen.getEntriesByName('first-contentful-paint').forEach(each => done(each.startTime))
).observe({ type: 'paint', buffered: true }))"""
PATIENCE: Final = 60_000  # milliseconds

SLOWEST: Final = Bar(10, at_least=False)
LATEST_PAINT: Final = Bar(3, at_least=False)
LARGEST: Final = Bar(500, at_least=False, of_ratio=False)
BESIDE_PAGES: Final = Bar(0.95, at_least=True)


def measure(scale: Scale) -> Table:
    """Run it."""
    population = POPULATIONS[scale]
    table = Table(NAME, "The page at size", ABOUT.format(**vars(population)))
    with ExitStack() as context:
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
        postgres = context.enter_context(running_postgres(fsync="on", full_page_writes="on"))
        empty = context.enter_context(running_ipamd())
        for database in ("SQLite", "PostgreSQL"):
            with _populated(database, population, postgres) as service:
                _statements(table, database, service)
                os.sched_setaffinity(0, {LOAD_CORE})
                _views(table, database, service, ROUNDS[scale])
                _paints(table, database, service, empty, PAINTS[scale])
                _adds(table, database, service, *LOADS[scale])
                os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    return table


@contextmanager
def _populated(name: str, population: Population, postgres: Postgres) -> Iterator[IpamdProcess]:
    if name == "SQLite":
        with running_populated(population) as service:
            yield service
        return
    with postgres.copy() as database, running_populated(population, postgres.url(database)) as service:
        yield service


def _statements(table: Table, database: str, service: IpamdProcess) -> None:
    """How many statements each view takes. SQLite tells of them; PostgreSQL gets the same."""
    if service.database_url.startswith("sqlite"):
        service.stop()
        counted, usual = Counted(service), service.executables
        with counted.counting():
            service.start()
            numbers = {view: counted.asked(view).statements for view in VIEWS}
            service.stop()
        most = max(numbers, key=lambda view: numbers[view])
        table.add(Row(f"most statements of a view, {database}: {most}", figure("", [numbers[most]])))
        assert service.executables == usual
        service.start()
    assert service.process is not None
    pin(service.process)


def _views(table: Table, database: str, service: IpamdProcess, rounds: int) -> None:
    times: dict[str, list[float]] = defaultdict(list)
    compared: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = {}
    with httpx.Client(base_url=service.tcp_endpoint, timeout=120) as http:
        for view in VIEWS:
            sizes[view] = len(_got(http, view).content)
        for _ in range(rounds):
            for view in VIEWS:
                compared[view].append(_timed(lambda: _got(http, COMPARED)))
                times[view].append(_timed(lambda view=view: _got(http, view)))  # type: ignore[misc]  # a lambda's default
    rows = {
        view: Row(
            f"{view}, {database}",
            figure("ms", times[view]),
            COMPARED,
            figure("ms", compared[view]),
            paired=True,
        )
        for view in VIEWS
    }
    slowest = max(VIEWS, key=lambda view: rows[view].ratio or 0)
    worst = rows[slowest]
    table.add(
        Row(f"slowest view: {worst.measure}", worst.figure, COMPARED, worst.other, (SLOWEST,), paired=True)
    )
    for row in rows.values():
        table.add(row)
    largest = max(sizes, key=lambda view: sizes[view])
    table.add(
        Row(f"largest view, {database}: {largest}", figure("KB", [sizes[largest] / 1000]), bars=(LARGEST,))
    )


def _got(http: httpx.Client, path: str) -> httpx.Response:
    answer = http.get(path)
    assert answer.is_success or answer.is_redirect, (path, answer.status_code)
    return answer


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _paints(table: Table, database: str, service: IpamdProcess, empty: IpamdProcess, rounds: int) -> None:
    shown = [view for view in VIEWS if not view.endswith("/samples")]
    times: dict[str, list[float]] = defaultdict(list)
    bare: dict[str, list[float]] = defaultdict(list)
    # It has an event loop in this thread while it is open, and a load needs its own.
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        _painted(page, f"{empty.tcp_endpoint}/")
        for _ in range(rounds):
            for view in shown:
                bare[view].append(_painted(page, f"{empty.tcp_endpoint}/"))
                times[view].append(_painted(page, service.tcp_endpoint + view))
        chromium.close()
    rows = {
        view: Row(
            f"latest first paint: {view}, {database}",
            figure("ms", times[view]),
            "an empty ipamd",
            figure("ms", bare[view]),
            (LATEST_PAINT,),
            paired=True,
        )
        for view in shown
    }
    table.add(max(rows.values(), key=lambda row: row.ratio or 0))


def _painted(page: Page, endpoint: str) -> float:
    """Milliseconds from the request of a page until something of it is seen."""
    page.goto(endpoint)
    return float(page.evaluate(PAINTED))


def _adds(table: Table, database: str, service: IpamdProcess, rounds: int, calls: int) -> None:
    """ADDs into the /8, whose bar and pictures change meanwhile."""
    alone, beside = [], []
    load.add(service.port, [[WIDE]] * calls, AT_ONCE)
    for _ in range(rounds):
        alone.append(load.add(service.port, [[WIDE]] * calls, AT_ONCE).rate)
        with open_pages(service.port):
            beside.append(load.add(service.port, [[WIDE]] * calls, AT_ONCE).rate)
    table.add(
        Row(
            f"ADD with live pages open, {database}",
            figure("/s", beside),
            "without",
            figure("/s", alone),
            (BESIDE_PAGES,),
            paired=True,
        )
    )
