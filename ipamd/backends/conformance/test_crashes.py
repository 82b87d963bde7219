"""ipamd dies (SIGKILL): what it had answered is there, and nothing of what it had not committed.

Not for backends that do not last.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from ipamd.backends.conformance.everything import CHANGE_STEPS, UNIT_STEPS, Everything, everything, furnish
from ipamd.backends.conformance.examples import NOW, THERE, allocation, begin, container, cursor, find
from ipamd.backends.conformance.harness import Harness
from ipamd.models.node import Boot
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio

COMMITTED: Final = 1000
"""A step that no work has: it dies when all of it is committed."""

ENOUGH_COMMITS: Final = 30


class Victim:
    """A process whose children die as they are told."""

    def __init__(self, scheme: str) -> None:
        command = [sys.executable, "-m", "ipamd.backends.conformance.crashing", scheme]
        self.process = subprocess.Popen(  # noqa: S603 - Python itself, on a module of ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def dies(self, what: str, step: int, url: str) -> bool:
        """Whether it died at that step, not of anything else."""
        self.order(f"{what} {step} {url}")
        return self.line() == "died"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def victims() -> Iterator[dict[str, Victim]]:
    """By scheme: there is one, but the scheme is known when the database is made."""
    started: dict[str, Victim] = {}
    yield started
    for victim in started.values():
        victim.end()


@pytest.fixture
def victim(victims: dict[str, Victim], url: str) -> Victim:
    scheme = url.partition("://")[0]
    if scheme not in victims:
        victims[scheme] = Victim(scheme)
    return victims[scheme]


async def survives(harness: Harness, url: str, victim: Victim, what: str, step: int) -> None:
    backend = await harness.open(url)
    await furnish(backend)
    before = await everything(backend)
    await backend.close()

    assert await asyncio.to_thread(victim.dies, what, step, url)

    backend = await harness.open(url)
    assert await everything(backend) == before
    [new] = await begin(backend, allocation("10.0.0.40", "c40", since=NOW + 40))
    assert await backend.ledger.page(AllocationQuery(), None, 10) == [*before.live, new]
    await backend.close()


@pytest.mark.parametrize("step", range(UNIT_STEPS))
async def test_nothing_of_a_unit_of_work_in_which_ipamd_died_is_there(
    harness: Harness, url: str, victim: Victim, step: int
) -> None:
    await survives(harness, url, victim, "unit", step)


@pytest.mark.parametrize("step", range(CHANGE_STEPS))
async def test_nothing_of_a_change_in_which_ipamd_died_is_there(
    harness: Harness, url: str, victim: Victim, step: int
) -> None:
    await survives(harness, url, victim, "change", step)


async def dies_when_committed(harness: Harness, url: str, victim: Victim, what: str) -> Everything:
    backend = await harness.open(url)
    await furnish(backend)
    await backend.close()
    assert await asyncio.to_thread(victim.dies, what, COMMITTED, url)
    backend = await harness.open(url)
    after = await everything(backend)
    await backend.close()
    return after


async def test_a_unit_of_work_that_was_answered_is_there_when_ipamd_died_then(
    harness: Harness, url: str, victim: Victim
) -> None:
    after = await dies_when_committed(harness, url, victim, "unit")

    assert {str(row.address): row.generation for row in after.live} == {"10.0.0.2": 2, "10.0.0.1": 1}
    assert sum(map(len, after.releases.values())) == 4
    assert [each.allocated for each in after.blocks["pods"]] == [0, 64, 0, 0]
    assert after.cursors["pods"] == 256


async def test_a_change_that_was_answered_is_there_when_ipamd_died_then(
    harness: Harness, url: str, victim: Victim
) -> None:
    after = await dies_when_committed(harness, url, victim, "change")

    assert (after.snapshot.revision, set(after.snapshot.pools)) == (3, {"pods", "third"})
    assert (set(after.snapshot.reservations), set(after.snapshot.nodes)) == ({2}, {THERE})
    assert [each.next_free_since for each in after.blocks["pods"]] == [None, None]
    assert after.cursors["pods"] == 0
    assert list(after.boots[THERE]) == [Boot("other", 1)]
    assert after.contacts == {}


async def test_what_was_answered_before_a_kill_is_there_and_every_unit_of_work_is_whole(
    harness: Harness, url: str, victim: Victim
) -> None:
    answered = await asyncio.to_thread(commits_until_killed, victim, url)

    backend = await harness.open(url)
    rows = await backend.ledger.page(AllocationQuery(), None, 100_000)
    [block] = await backend.ledger.blocks("pods", 0, (0, 63))
    found = await find(backend, *(row.digest for row in rows))
    # One more may have been committed and not been answered.
    assert len(rows) in (answered, answered + 1)
    assert [row.holder for row in rows] == [container(f"c{number + 1}") for number in range(len(rows))]
    assert all(len(found.releases[row.digest]) == 1 for row in rows)
    assert block.last_freed == len(rows) == await cursor(backend)
    await backend.close()


def commits_until_killed(victim: Victim, url: str) -> int:
    """The number of units of work that were reported as committed."""
    victim.order(f"commits 0 {url}")
    process = int(victim.line())
    answered = 0
    while (line := victim.line()) not in ("died", "lived", ""):
        answered = int(line)
        if answered == ENOUGH_COMMITS:
            os.kill(process, signal.SIGKILL)
    assert line == "died"
    return answered
