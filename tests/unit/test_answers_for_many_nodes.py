"""What thousands of nodes ask at once is read and encoded once, and calls come in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.pod_network import NetworkView
from ipamd.engine.turns import AT_ONCE, Turns
from ipamd.models.address import parse_address
from ipamd.models.errors import NetworkChangesTooOld
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import NetworkPosition, Published

pytestmark = pytest.mark.asyncio
MANY = 3 * AT_ONCE


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = await Engine.open(MemoryBackend())
    await publish(engine, 1)
    yield engine
    await engine.close()


async def publish(engine: Engine, number: int, cluster: str = "default") -> None:
    await engine.publishing.publish(
        NodeKey(cluster, f"node-{number}"),
        Published(
            machine=f"m-{number}",
            address=parse_address(f"192.0.2.{number}"),
            prefixes=(),
            mtu=1500,
            mac=f"02:00:00:00:00:{number:02x}",
        ),
    )


async def test_all_is_encoded_once_for_who_asks_within_seconds_and_the_changes_lead_on_from_there(
    engine: Engine,
) -> None:
    encoded: list[NetworkView] = []

    def encode(view: NetworkView) -> bytes:
        encoded.append(view)
        return str(view.position.number).encode()

    queries = engine.network_queries
    answers = await asyncio.gather(*(queries.shared_whole("default", encode) for _ in range(MANY)))
    await publish(engine, 2)
    later = await queries.shared_whole("default", encode)

    assert {*answers, later} == {str(encoded[0].position.number).encode()}
    changes = await queries.changes("default", encoded[0].position, 30)
    assert [node.name for node in changes.nodes] == ["node-2"]


async def test_all_is_read_again_where_nobody_can_follow_from_what_was_shared(engine: Engine) -> None:
    """Before anybody has joined, and after the changes were refused as too old."""
    queries = engine.network_queries

    def encode(view: NetworkView) -> bytes:
        return b"%d" % view.position.number

    assert await queries.shared_whole("west", encode) == b"0"
    await publish(engine, 1, "west")
    first = await queries.shared_whole("west", encode)
    assert first != b"0"
    await publish(engine, 2, "west")
    with pytest.raises(NetworkChangesTooOld):
        await queries.changes("west", NetworkPosition("another", 1), 0)
    assert await queries.shared_whole("west", encode) > first


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_waits_for_the_same_shares_one_reading(engine: Engine, is_first: bool) -> None:
    """Also right after a start, when nobody has looked yet where the changes are."""
    queries = engine.network_queries
    position = (await queries.whole("default")).position
    if is_first:
        await publish(engine, 2)
    waiting = [asyncio.create_task(queries.changes("default", position, 30)) for _ in range(MANY)]
    if not is_first:
        await asyncio.sleep(0.1)
        await publish(engine, 2)

    views = await asyncio.gather(*waiting)

    assert len({id(view) for view in views}) == 1
    assert [node.name for node in views[0].nodes] == ["node-2"]


async def test_what_comes_meanwhile_does_not_wait_for_all_who_were_woken() -> None:
    turns = Turns()
    went_on: list[int] = []

    async def waiter(number: int) -> None:
        await turns.next()
        went_on.append(number)

    waiting = [asyncio.create_task(waiter(number)) for number in range(MANY)]
    while not went_on:
        await asyncio.sleep(0)
    before = len(went_on)
    await asyncio.gather(*waiting)

    assert before <= AT_ONCE
    assert went_on == list(range(MANY))


async def test_who_gives_up_waiting_for_a_turn_keeps_nobody_else() -> None:
    turns = Turns()
    waiting = [asyncio.create_task(turns.next()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()

    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert [isinstance(each, asyncio.CancelledError) for each in ended] == [False, True, False]
