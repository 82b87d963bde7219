"""A batch that began before there was a pod network is announced all the same, on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import NOW, allocation, block, container
from ipamd.backends.interface import Backend, BlockId, Changes, Transaction
from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.pod_network import NetworkView
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Published
from ipamd.models.pool import Affinity, Pool, Selectors
from tests.postgres import Postgres

HERE, THERE = NodeKey("default", "node-1"), NodeKey("default", "node-2")
POOL = Pool(name="pods", subnet=ip_network("10.0.0.0/16"), block_length=26, affinity=Affinity.NODE)
LATER = replace(POOL, selectors=Selectors(clusters=("west",)))
FIRST = int(ip_address("10.0.0.0"))
BORROWED = structs.replace(allocation("10.0.0.9", holder=container("c9")), borrowed=True)
MEMBER = Published(
    machine="m", address=ip_address("192.0.2.1"), prefixes=(), mtu=1500, mac="02:00:00:00:00:01"
)
ROUNDS = 2000
"""How often the batch asks its transaction before it writes: long enough for a change that does not wait."""


async def publish(engine: Engine) -> None:
    await engine.networks.publish(HERE, MEMBER, {})


async def widen(engine: Engine) -> None:
    await engine.administration.edit_pool("pods", lambda pool: replace(pool, selectors=Selectors()), None)


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "change"), [(POOL, publish), (LATER, widen)])
async def test_what_a_batch_borrows_is_seen_by_who_reads_after_the_change_that_announces_it(
    postgres: Postgres, before: Pool, change: Callable[[Engine], Awaitable[None]]
) -> None:
    with postgres.migrated() as database:
        backend = await open_backend(postgres.url(database))
        engine = await Engine.open(backend)
        try:
            await engine.administration.create_pool(before)
            if change is widen:
                await publish(engine)
            await backend.transact(lambda each: each.carve("pods", [block(FIRST, node=THERE)], FIRST + 64))

            began = asyncio.Event()
            _, whole = await asyncio.gather(borrow(backend, began), read_after(began, change, engine))

            assert [node.borrowed for node in whole.nodes] == [(ip_address("10.0.0.9"),)]
        finally:
            await engine.close()


async def borrow(backend: Backend, began: asyncio.Event) -> None:
    """A batch that has locked its block and read the catalogue, and takes long to write."""

    async def work(transaction: Transaction) -> None:
        [locked] = await transaction.lock([BlockId("pods", FIRST)])
        await transaction.revision()
        began.set()
        for _ in range(ROUNDS):
            await transaction.revision()
        taken = replace(locked.blocks[0], allocated=1, last_freed=NOW)
        await transaction.write(Changes(begun=[BORROWED], blocks=[taken]))

    await backend.transact(work)


async def read_after(
    began: asyncio.Event, change: Callable[[Engine], Awaitable[None]], engine: Engine
) -> NetworkView:
    """What an agent reads that joins with the change. From then on it follows the numbers alone."""
    await began.wait()
    await change(engine)
    return await engine.network_queries.whole("default")
