"""What only several writers make hard: an owner's last holder ends while the next one begins elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import asyncpg

from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from ipamd.models.allocation import Workload
from ipamd.models.identity import Identity, owner_in
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Outcome, Released
from ipamd.models.pool import Pool
from ipamd.models.query import AllocationQuery
from ipamd.models.request import AllocationRequest, Release
from tests.postgres import Postgres

PODS = Pool(name="pods", subnet=ip_network("10.0.0.0/28"), block_length=28, cooldown=0, owner_keep=0)
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = $1
"""


async def test_who_waits_for_the_block_of_an_owner_that_ends_gets_an_address_that_is_nobodys(
    postgres: Postgres,
) -> None:
    """Its call had found the owner before. A holder without an owner would have an address that is free."""
    with postgres.migrated() as database:
        here, there = [await Engine.open(await open_backend(postgres.url(database))) for _ in range(2)]
        await here.administration.create_pool(PODS)
        await here.submit(add("c1"))

        async with blocks_locked(postgres, database) as others:
            ended = asyncio.create_task(here.submit(release("c1")))
            await waiting(others, database, 1)
            begun = asyncio.create_task(there.submit(add("c2")))
            await waiting(others, database, 2)
        outcomes = await ended, await begun
        strangers = [await here.submit(add(f"x{number}", None)) for number in range(12)]

        rows = await here.queries.allocations(AllocationQuery(), None, 99)
        portion = await here.consistency.portion(None, None, repair=False)
        for engine in (here, there):
            await engine.close()

    assert isinstance(outcomes[0], Released)
    [(address, owner)] = [(row.address, row.holder) for row in rows if row.is_of_owner]
    assert owner == owner_in("default", "team", "vm")
    assert address in had(outcomes[1])
    assert len({each for outcome in strangers for each in had(outcome)} | {address}) == 13
    assert not portion.findings


@asynccontextmanager
async def blocks_locked(postgres: Postgres, database: str) -> AsyncIterator[asyncpg.Connection]:
    """Another transaction has all blocks, until the block of code is left."""
    others = await asyncpg.connect(postgres.url(database))
    try:
        async with others.transaction():
            await others.fetch("SELECT FROM block FOR UPDATE")
            yield others
    finally:
        await others.close()


async def waiting(others: asyncpg.Connection, database: str, count: int) -> None:
    """Until so many wait for a lock."""
    async with asyncio.timeout(30):
        while await others.fetchval(WAITING, database) < count:
            await asyncio.sleep(0.01)


def add(container: str, owner: str | None = "vm") -> AllocationRequest:
    """The ADD of a container, for an owner or for itself."""
    return AllocationRequest(
        holder=Identity("default", "pods", "n1", container, "eth0"),
        workload=Workload("team", container),
        node=NodeKey("default", "n1"),
        for_owner=None if owner is None else owner_in("default", "team", owner),
    )


def release(container: str) -> Release:
    return Release(digest=add(container).digest, node=NodeKey("default", "n1"))


def had(outcome: Outcome) -> set[object]:
    assert isinstance(outcome, Granted), outcome
    return {grant.address for grant in outcome.grants}
