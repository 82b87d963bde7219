"""Who waits for changes of a pod network: told at once of this process's own, soon of others'."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ipamd.backends.interface import Backend, Changes
from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.announcements import APART, LOOK_EVERY, Announcements
from ipamd.models.pod_network import Announced, AnnouncedKind, NetworkPosition

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def running(backend: Backend) -> AsyncIterator[Announcements]:
    announcements = Announcements(backend.ledger)
    task = asyncio.create_task(announcements.run())
    yield announcements
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def announce(backend: Backend, cluster: str = "default") -> NetworkPosition:
    changed = Announced(cluster, AnnouncedKind.NODE, "node-1")
    await backend.transact(lambda each: each.write(Changes(announced=frozenset({changed}))))
    return (await backend.ledger.positions())[cluster]


async def seconds_until_told(announcements: Announcements, than: NetworkPosition, most: float) -> float:
    began = time.monotonic()
    await announcements.newer("default", than, most)
    return time.monotonic() - began


@pytest.mark.parametrize(("rings", "look_every"), [(True, 120.0), (False, LOOK_EVERY)])
async def test_a_change_is_told_at_once_or_after_the_next_look(
    rings: bool, look_every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipamd.engine.announcements.LOOK_EVERY", look_every)
    backend = MemoryBackend()
    before = await announce(backend)
    async with running(backend) as announcements:
        waiting = asyncio.create_task(seconds_until_told(announcements, before, 120))
        await asyncio.sleep(APART + 0.1)  # it was told where things stand, and may be told again
        began = time.monotonic()
        await announce(backend)
        if rings:
            announcements.ring()
        await waiting

    assert time.monotonic() - began < 60


async def test_many_changes_are_told_together() -> None:
    backend = MemoryBackend()
    position = await announce(backend)
    answers = 0
    async with running(backend) as announcements:
        end = time.monotonic() + 2.5 * APART
        while time.monotonic() < end:
            waiting = asyncio.create_task(announcements.newer("default", position, 30))
            while not waiting.done():
                latest = await announce(backend)
                announcements.ring()
                await asyncio.sleep(0.01)
            position, answers = latest, answers + 1

    assert 2 <= answers <= 4
    assert position.number > 20


async def test_a_change_of_another_cluster_wakes_nobody() -> None:
    backend = MemoryBackend()
    before = await announce(backend)
    async with running(backend) as announcements:
        waiting = asyncio.create_task(seconds_until_told(announcements, before, 1.0))
        await asyncio.sleep(0.1)
        await announce(backend, "west")
        announcements.ring()

        assert await waiting >= 1.0


async def test_the_end_lets_everybody_go_now_and_later() -> None:
    backend = MemoryBackend()
    before = await announce(backend)
    async with running(backend) as announcements:
        waiting = asyncio.create_task(seconds_until_told(announcements, before, 60))
        await asyncio.sleep(0.1)
        announcements.end()

        assert await waiting < 30
        assert await seconds_until_told(announcements, before, 60) < 30
