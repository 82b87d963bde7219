"""What REST reads of a database with many allocations, counted by SQLite itself."""

import asyncio
import re
import sqlite3
import tempfile
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from ipamd.api.access import Access
from ipamd.api.application import Application
from ipamd.api.call_measures import CallMeasures
from ipamd.api.cni import Calls
from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import Backend, Changes, Transaction
from ipamd.backends.registry import open_backend
from ipamd.backends.sql.listing import READ_AT_ONCE
from ipamd.backends.sql.sqlite.connection import JOURNAL_LENGTH, WRITER_SETTINGS, SqliteSession, connect
from ipamd.backends.sql.sqlite.deferred_terms import catch_up
from ipamd.engine.engine import Engine
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.block import HELD, NEVER_HELD, Block
from ipamd.models.identity import Identity
from ipamd.models.issued import CallOrder
from ipamd.models.pool import Pool
from ipamd.web import make_page
from tests.faults.meter import Meter

FEW, MANY = 100, 100_000
BLOCKS = 1_600
SIZE = 64  # addresses of a block
FIRST = int(IPv4Address("10.0.0.0"))
BATCH = 5_000
REQUESTS = 6  # more than there are connections that read, so that one of them has prepared its statements


def block(pool: str, first: int, held: int) -> Block:
    """A block of which the first addresses are held."""
    free_since = array("q", [HELD] * held + [NEVER_HELD] * (SIZE - held))
    return Block(pool, first, None, free_since, held, NEVER_HELD, NEVER_HELD if held < SIZE else None)


def allocation(number: int) -> Allocation:
    """One of many: spread over the blocks of the pool, ten nodes, ten names."""
    first, place = FIRST + SIZE * (number % BLOCKS), number // BLOCKS
    identity = Identity("default", "pods", f"node-{number % 10}", f"c{number}", "eth0")
    return Allocation(
        id=None,
        space="default",
        address=IPv4Address(first + place),
        pool="pods",
        block=first,
        holder=identity,
        digest=identity.digest,
        position=0,
        workload=Workload("web", f"front-{number % 10}"),
        boot=None,
        netns=None,
        since=1_000_000 + number,
        until=None,
        ending=None,
        generation=1,
        taken=CallOrder(1, number),
        repeated=CallOrder(1, number),
    )


async def fill(url: str, allocations: int) -> None:
    """A pool with so many allocations, as if they had been made one by one."""
    backend = await open_backend(url)
    engine = await Engine.open(backend)
    await create_pool(engine, "pods", "10.0.0.0/8")
    held = [len(range(number, allocations, BLOCKS)) for number in range(BLOCKS)]
    await carve(backend, [block("pods", FIRST + SIZE * number, held[number]) for number in range(BLOCKS)])
    for start in range(0, allocations, BATCH):
        batch = [allocation(number) for number in range(start, min(start + BATCH, allocations))]
        await backend.transact(partial(write, changes=Changes(begun=batch)))
    await engine.close()
    # As all have them but the last thousand, which cost each page the same however many there are.
    with closing(connect(Path(url.removeprefix("sqlite:///")), WRITER_SETTINGS)) as connection:
        while run_to_end(catch_up(allocations, SqliteSession(connection))):
            pass
        # Each part of the index that is not merged yet costs a page some steps. There are few at any size.
        connection.execute("INSERT INTO listing (listing) VALUES ('optimize')")


async def create_pool(engine: Engine, name: str, subnet: str) -> None:
    await engine.administration.create_pool(
        Pool(name=name, subnet=ip_network(subnet), block_length=26, cooldown=0)
    )


async def write(transaction: Transaction, changes: Changes) -> None:
    await transaction.write(changes)


async def carve(backend: Backend, blocks: list[Block]) -> None:
    async def work(transaction: Transaction) -> int:
        return await transaction.carve(blocks[0].pool, blocks, None)

    assert await backend.transact(work) == len(blocks)


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[int, str]]:
    """The same pool with few allocations and with many."""
    with tempfile.TemporaryDirectory(prefix="ipamd-") as folder:
        urls = {count: f"sqlite:///{Path(folder) / f'{count}.sqlite'}" for count in (FEW, MANY)}
        for count, url in urls.items():
            asyncio.run(fill(url, count))
        yield urls


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """Counts what SQLite does for this process."""
    meter = Meter(sqlite3.connect)
    monkeypatch.setattr(sqlite3, "connect", meter.connect)
    return meter


async def laid_out(journal: Path) -> None:
    async with asyncio.timeout(60):
        while journal.stat().st_size < JOURNAL_LENGTH:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def served(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """REST over a database, in this process, once its journal is laid out: that takes steps too."""
    engine = await Engine.open(await open_backend(url))
    try:
        await laid_out(Path(f"{url.removeprefix('sqlite:///')}-wal"))
        access = Access(engine)
        calls = Calls(engine, access, CallMeasures())
        transport = httpx.ASGITransport(Application(engine, access, calls, make_page))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        await engine.close()


async def steps_of(client: httpx.AsyncClient, meter: Meter, path: str) -> tuple[int, dict[str, Any]]:
    """The fewest steps in which a request was answered, and the answer. The meter keeps its statements.

    Others have those of the service's own rounds beside theirs.
    """
    seen = []
    for _ in range(REQUESTS):
        meter.reset()
        answer = await client.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        seen.append((meter.steps, list(meter.statements)))
    document: dict[str, Any] = answer.json() if "json" in answer.headers["content-type"] else {}
    fewest, meter.statements[:] = min(seen)
    assert fewest > 0
    return fewest, document


LISTINGS = [
    "/v1/allocations?limit=3",
    "/v1/allocations?limit=3&pool=pods",
    "/v1/allocations?limit=3&node=node-3",
    "/v1/allocations?limit=3&namespace=web",
    "/v1/allocations?limit=3&namespace=web&name=front-3",
    "/v1/history?limit=3&node=node-3",
]
COMPARING_LISTINGS = [
    "/v1/allocations?limit=3&pool=pods&node=node-3",
    "/v1/history?limit=3&namespace=web&name=front-3",
]
STEPS_OF_A_ROW = 40


async def two_pages(url: str, meter: Meter, listing: str) -> tuple[int, int]:
    """The steps of the first two pages of a list."""
    async with served(url) as client:
        first, page = await steps_of(client, meter, listing)
        assert len(page["items"]) == 3
        second, next_page = await steps_of(client, meter, f"{listing}&cursor={page['next']}")
        assert next_page["items"][0]["id"] != page["items"][0]["id"]
        return first, second


@pytest.mark.parametrize("listing", LISTINGS)
async def test_a_page_reads_as_much_with_a_hundred_thousand_allocations_as_with_a_hundred(
    databases: dict[int, str], meter: Meter, listing: str
) -> None:
    few, many = [await two_pages(databases[count], meter, listing) for count in (FEW, MANY)]

    assert many == few


@pytest.mark.parametrize("listing", COMPARING_LISTINGS)
async def test_a_page_of_two_filters_compares_no_more_rows_than_its_bound(
    databases: dict[int, str], meter: Meter, listing: str
) -> None:
    """Ten thousand rows match the filter that has an index."""
    steps = await two_pages(databases[MANY], meter, listing)

    assert max(steps) < STEPS_OF_A_ROW * READ_AT_ONCE


OF_FEW = ("USING INDEX allocation_live_prefix", "USING INDEX allocation_away (pool=? AND away_since>?)")
"""Prefixes, and what owners have who are away. All others are in neither index."""


def reads_allocations(meter: Meter, url: str) -> bool:
    """Whether statements have read allocations, other than those that have an index of their own."""
    asked = [statement for statement in meter.statements if re.search(r"\bFROM allocation\b", statement)]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        plans = [list(connection.execute(f"EXPLAIN QUERY PLAN {statement}")) for statement in asked]
    steps = [step for plan in plans for *_, step in plan if re.match(r"(SCAN|SEARCH) allocation\b", step)]
    assert len(steps) >= len(asked)
    return not all(step.endswith(OF_FEW) for step in steps)


VIEWS: dict[str, tuple[int, set[str]]] = {
    "/": (3, set()),
    "/ui/pools/pods": (8, {"usage_sample"}),
    "/ui/pools/pods/map?at=10.0.0.0/16": (3, {"block"}),
    "/ui/pools/pods/map?at=10.0.0.0/24": (4, {"block"}),
    "/ui/addresses/10.0.0.0": (6, {"block", "allocation"}),  # who lives and who ended are two questions
    "/ui/allocations?pool=pods": (4, {"allocation", "pool"}),
    "/ui/allocations?namespace=web": (6, {"allocation"}),
    "/ui/tree?open=pods": (5, set()),
    "/ui/search?q=front-3": (9, {"allocation"}),
}
"""How many statements each view of the page runs at most, and what it reads but the catalogue.

Sums of a whole pool were counted for the look before.
"""


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_of_the_page_reads_what_it_shows_however_many_allocations_there_are(
    databases: dict[int, str], meter: Meter, view: str
) -> None:
    most, tables = VIEWS[view]
    steps = {}
    for count in (FEW, MANY):
        async with served(databases[count]) as client:
            await client.get(view)
            steps[count], _ = await steps_of(client, meter, view)
            read = [statement for statement in meter.statements if statement.startswith("SELECT")]
            assert len(read) <= most, read
            assert tables <= meter.tables
            assert "allocation" in tables or not reads_allocations(meter, databases[count])

    assert steps[MANY] <= 3 * steps[FEW]  # a full block has more to add up than an empty one


async def test_a_refusal_says_how_full_a_pool_is_and_counts_no_prefixes(scratch: Path, meter: Meter) -> None:
    url = f"sqlite:///{scratch / 'full.sqlite'}"
    await fill(url, FEW)
    async with served(url) as client:
        await client.patch("/v1/pools/pods", json={"state": "draining"})
        meter.reset()
        answer = await client.post("/v1/allocations", json={"owner": "vm", "pool": "pods"})

        assert "pool pods is draining" in answer.json()["detail"]
        assert not any("GROUP BY live.pool, live.prefix_length" in each for each in meter.statements)
        await client.get("/v1/pools/pods/usage")
        assert any("GROUP BY live.pool, live.prefix_length" in each for each in meter.statements)


async def test_usage_reads_blocks_and_no_allocation(databases: dict[int, str], meter: Meter) -> None:
    steps = {}
    for count in (FEW, MANY):
        async with served(databases[count]) as client:
            steps[count], usage = await steps_of(client, meter, "/v1/pools/pods/usage")
            assert usage["allocated"] == count
            assert "block" in meter.tables
            assert not reads_allocations(meter, databases[count])

    assert steps[MANY] == steps[FEW]


async def test_usage_reads_the_blocks_of_its_pool_only(scratch: Path, meter: Meter) -> None:
    url = f"sqlite:///{scratch / 'ipamd.sqlite'}"
    backend = await open_backend(url)
    engine = await Engine.open(backend)
    await create_pool(engine, "pods", "10.0.0.0/8")
    await create_pool(engine, "others", "11.0.0.0/8")
    await carve(backend, [block("pods", FIRST + SIZE * number, 1) for number in range(10)])
    await engine.close()

    async with served(url) as client:
        alone, _ = await steps_of(client, meter, "/v1/pools/pods/usage")
    backend = await open_backend(url)
    others = int(IPv4Address("11.0.0.0"))
    await carve(backend, [block("others", others + SIZE * number, 1) for number in range(BLOCKS)])
    await backend.close()
    async with served(url) as client:
        beside_others, _ = await steps_of(client, meter, "/v1/pools/pods/usage")
        read = [one for one in meter.statements if one.startswith("SELECT") and "FROM block" in one]

    assert beside_others == alone
    with closing(sqlite3.connect(scratch / "ipamd.sqlite")) as connection:
        for statement in read:
            steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            of_blocks = [step for step in steps if re.match(r"(SCAN|SEARCH) block\b", step)]
            assert of_blocks, steps
            assert all("SEARCH" in step and "(pool=?" in step for step in of_blocks), steps
    assert read
