"""A clock that is or was wrong: what is stored meanwhile has bounds, and nothing is deleted by it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from msgspec import structs

from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend
from ipamd.engine.administration.tokens import TokenRequest
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.engine.pruning import DAY, Pruning
from ipamd.engine.token_moments import NODE_LIFETIME
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.hold import Hold
from ipamd.models.identity import Identity, owner_in
from ipamd.models.instant import SECOND
from ipamd.models.issued import REMEMBERED_FOR, Issued
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Refused
from ipamd.models.pool import Pool
from ipamd.models.query import HistoryQuery
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.token import Principal, Role

pytestmark = pytest.mark.asyncio

NOW = 1_700_000_000 * SECOND
YEARS = 3 * 365 * DAY
COOLDOWN = 2 * SECOND
POOL = Pool(name="p", subnet=ip_network("10.65.0.0/29"), block_length=29, cooldown=2)
NODE = NodeKey("c", "n")
HOLDERS = "abcdef"


class Machine:
    """A machine whose clock somebody sets, and the service on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.wall, self.passed = NOW, 0
        self.backend: Backend
        self.engine: Engine

    async def start(self) -> None:
        self.backend = await open_backend(self.url)
        self.engine = await Engine.open(self.backend, Clock(lambda: self.wall, lambda: self.passed))

    async def restart(self) -> None:
        """Start again on the same database; in memory there is nothing to start again with."""
        if self.url != "memory://":
            await self.engine.close()
            await self.start()

    def wait(self, span: int) -> None:
        self.wall += span
        self.passed += span

    async def set(self, step: int) -> None:
        """Set the clock, and let the service see it."""
        self.wall += step
        self.engine.clock()
        await asyncio.sleep(0)

    async def add(self, name: str) -> Granted | Refused:
        outcome = await self.engine.submit(ask(name))
        assert isinstance(outcome, Granted | Refused)
        return outcome

    async def delete(self, name: str) -> None:
        await self.engine.submit(Release(digest=ask(name).digest, node=NODE))

    async def take_and_release_all(self) -> None:
        for name in HOLDERS:
            assert isinstance(await self.add(name), Granted)
        for name in HOLDERS:
            await self.delete(name)

    async def set_back(self) -> None:
        """What the service does by itself when its clock was set back."""
        await self.engine.setting_back.look()

    async def found(self, *, repair: bool = False) -> list[str]:
        """What the check of everything says."""
        said: list[str] = []
        portion = await self.engine.consistency.portion(None, None, repair=repair)
        while True:
            said += [finding.what for finding in portion.findings]
            if portion.next is None:
                return said
            portion = await self.engine.consistency.portion(portion.next, None, repair=repair)

    async def history(self, at: int | None = None) -> list[Allocation]:
        return list(await self.backend.ledger.history(HistoryQuery(at=at), None, 100))


def ask(name: str) -> AllocationRequest:
    return AllocationRequest(holder=Identity("c", "pods", "n", name, "eth0"), pool_names=(("p",),))


def pod(name: str) -> AllocationRequest:
    """What a container of a workload asks for."""
    return structs.replace(ask(name), workload=Workload("team", "pod"))


@pytest.fixture(params=["memory", "sqlite", "postgresql", "file"])
async def machine(request: pytest.FixtureRequest, scratch: Path) -> AsyncIterator[Machine]:
    match request.param:
        case "memory":
            url = "memory://"
        case "sqlite":
            url = f"sqlite:///{scratch / 'x.sqlite'}"
        case "file":
            url = f"file://{scratch / 'files'}"
        case _:
            url = request.getfixturevalue("postgres_database")
    machine = Machine(url)
    await machine.start()
    await machine.engine.administration.create_pool(POOL)
    yield machine
    await machine.engine.close()


@pytest.mark.parametrize("restarted", [True, False])
async def test_what_was_freed_under_a_clock_ahead_is_given_again_after_its_cooldown(
    machine: Machine, restarted: bool
) -> None:
    await machine.set(YEARS)
    await machine.take_and_release_all()
    await machine.set(-YEARS)
    if restarted:
        await machine.restart()

    await machine.set_back()
    cooling = await machine.add("new")
    machine.wait(COOLDOWN)
    ready = await machine.add("new")

    assert isinstance(cooling, Refused)
    assert isinstance(ready, Granted)
    assert await machine.found() == []


async def test_what_came_back_to_a_hold_under_a_clock_ahead_is_given_again_after_its_cooldown(
    machine: Machine,
) -> None:
    await machine.engine.holds.create(
        Hold(name="eve", size=1, pool="p", namespaces=("team",), since=0, seconds=36_000)
    )
    await machine.set(YEARS)
    before = await machine.engine.submit(pod("one"))
    await machine.delete("one")
    await machine.set(-YEARS)
    await machine.set_back()

    machine.wait(COOLDOWN)
    after = await machine.engine.submit(pod("two"))

    assert isinstance(before, Granted)
    assert isinstance(after, Granted)
    assert before.grants[0].address == after.grants[0].address
    assert await machine.found() == []


async def test_a_hold_that_was_made_under_a_clock_ahead_ends_when_its_time_has_passed(
    machine: Machine,
) -> None:
    holds = machine.engine.holds
    await machine.set(YEARS)
    await holds.create(Hold(name="eve", size=1, pool="p", namespaces=("team",), since=0, seconds=60))
    await machine.set(-YEARS)

    await holds.finish()
    machine.wait(59 * SECOND)
    await holds.finish()
    assert "eve" in machine.engine.catalogue.snapshot.holds
    machine.wait(2 * SECOND)
    await holds.finish()

    assert "eve" not in machine.engine.catalogue.snapshot.holds


async def test_a_workload_that_had_an_address_under_a_clock_ahead_has_the_next_one_again(
    machine: Machine,
) -> None:
    await machine.engine.administration.edit_pool("p", lambda pool: replace(pool, sticky=True), None)
    had: list[object] = []
    for name, step in (("one", YEARS), ("two", -YEARS), ("three", 0)):
        await machine.set(step)
        granted = await machine.engine.submit(pod(name))
        assert isinstance(granted, Granted)
        had.append(granted.grants[0].address)
        await machine.delete(name)

    assert had[1] == had[2]


async def test_what_was_freed_just_before_a_step_ahead_still_cools(machine: Machine) -> None:
    await machine.take_and_release_all()

    await machine.set(YEARS)
    machine.wait(COOLDOWN - SECOND)
    cooling = await machine.add("new")
    machine.wait(SECOND)
    ready = await machine.add("new")

    assert isinstance(cooling, Refused)
    assert "5 cooling" in str(cooling.error) or "6 cooling" in str(cooling.error)
    assert isinstance(ready, Granted)


@pytest.mark.parametrize("by", ["itself", "check"])
async def test_history_of_a_clock_that_was_ahead_says_when_it_was(machine: Machine, by: str) -> None:
    for name in ("before", "around"):
        await machine.add(name)
    await machine.delete("before")
    await machine.set(YEARS)
    await machine.delete("around")
    await machine.add("inside")
    await machine.delete("inside")
    await machine.add("living")
    machine.wait(10 * SECOND)
    await machine.set(-YEARS)
    if by == "itself":
        await machine.set_back()
    else:
        said = await machine.found(repair=True)
        assert any("began at 2026" in each and "days ahead of the clock" in each for each in said), said

    assert await machine.found() == []
    holding = [row.holder for row in await machine.history(at=machine.wall)]
    assert holding == [ask("living").holder]
    for row in await machine.history():
        assert row.since <= machine.wall
        assert row.until is None or row.since <= row.until <= machine.wall


async def test_nothing_ends_before_it_began(machine: Machine) -> None:
    await machine.set(YEARS)
    await machine.add("one")
    await machine.set(-YEARS)

    await machine.delete("one")

    [row] = await machine.history()
    assert (row.since, row.until) == (NOW, NOW)
    await machine.set_back()
    assert await machine.found() == []


async def test_nothing_ends_before_it_began_though_it_ends_by_another(machine: Machine) -> None:
    """An owner's time by its last holder's end, a hold's time with an address by who takes it."""
    await machine.engine.administration.edit_pool("p", lambda pool: replace(pool, owner_keep=0), None)
    workload, vm = Workload("team", "pod"), owner_in("c", "team", "vm")
    await machine.set(YEARS)
    await machine.engine.submit(structs.replace(ask("one"), workload=workload, for_owner=vm))
    hold = Hold(name="eve", size=1, pool="p", namespaces=("team",), since=0, seconds=3600)
    await machine.engine.holds.create(hold)
    await machine.set(-YEARS)

    await machine.delete("one")
    taken = await machine.engine.submit(structs.replace(ask("two"), workload=workload))

    assert isinstance(taken, Granted)
    ended = [row for row in await machine.history() if row.until is not None]
    assert {row.held_by for row in ended} == {
        "team/pod (container one on node n)",
        "owner team/vm",
        "hold eve",
    }
    assert {(row.since, row.until) for row in ended} == {(NOW, NOW)}
    await machine.set_back()
    assert await machine.found() == []


async def test_no_history_is_dropped_by_a_clock_that_jumped(machine: Machine) -> None:
    await machine.take_and_release_all()

    await machine.set(YEARS)
    await Pruning(machine.backend, machine.engine.clock, 5).round()
    await machine.restart()
    await Pruning(machine.backend, machine.engine.clock, 5).round()

    assert len(await machine.history()) == len(HOLDERS)
    await machine.engine.consistency.trust_clock()
    await Pruning(machine.backend, machine.engine.clock, 5).round()
    assert await machine.history() == []


async def test_a_database_in_which_time_was_never_counted_is_not_pruned_by_a_clock_years_ahead(
    machine: Machine,
) -> None:
    await machine.take_and_release_all()
    await machine.backend.set_time_back(0)

    machine.wall += YEARS
    await machine.engine.upkeep.begin()
    await Pruning(machine.backend, machine.engine.clock, 5).round()

    assert len(await machine.history()) == len(HOLDERS)


async def test_history_is_dropped_as_time_passes(machine: Machine) -> None:
    await machine.take_and_release_all()

    machine.wait(5 * DAY)
    await Pruning(machine.backend, machine.engine.clock, 5).round()

    assert await machine.history() == []


async def test_a_clock_that_is_behind_dates_nothing_back(machine: Machine) -> None:
    await machine.take_and_release_all()
    await machine.add("living")
    before = await machine.history()

    await machine.set(-YEARS)
    await machine.set_back()
    await machine.set(YEARS)
    await machine.set_back()

    assert await machine.history() == before
    assert isinstance(await machine.add("new"), Refused), "what was freed just now still cools"


async def test_releases_are_remembered_though_the_clock_jumped(machine: Machine) -> None:
    await machine.add("one")
    await machine.engine.submit(
        Release(digest=ask("one").digest, node=NODE, issued=Issued("boot", 20), delivered=None)
    )

    await machine.set(YEARS)
    await machine.engine.upkeep.round()
    late = await machine.engine.submit(issued_at("one", 10))
    machine.wait(3 * REMEMBERED_FOR)
    await machine.engine.upkeep.round()
    served = await machine.engine.submit(issued_at("one", 10))

    assert isinstance(late, Refused)
    assert isinstance(served, Granted)


def issued_at(name: str, uptime_ns: int) -> AllocationRequest:
    return structs.replace(ask(name), issued=Issued("boot", uptime_ns))


async def test_moments_beside_blocks_and_allocations_are_found_with_their_numbers_and_set_back(
    machine: Machine,
) -> None:
    await machine.set(YEARS)
    engine = machine.engine
    join = Principal(name="join", role=Role.JOIN, cluster="c")
    own = await engine.tokens.join("n", "s" * 43, join)
    engine.heard_from(NODE)
    engine.used(own.token.id)
    await machine.delete("nobody")
    await machine.backend.count_time(machine.wall)
    await engine.upkeep.round()
    await machine.set(-YEARS)

    said = await machine.found()

    assert [each.split(":")[0] for each in said] == [
        "time was counted to what is at 2026-11-13T22",
        "1 releases are remembered for longer than ipamd remembers any",
        "1 nodes called, the last one at 2026-11-13T22",
        "1 tokens were used, the last one at 2026-11-13T22",
        "1 tokens have moments ahead of the clock",
    ]
    assert await machine.found(repair=True) == said
    assert await machine.found() == []
    assert await engine.contacts() == {NODE: NOW}
    [token] = engine.catalogue.snapshot.tokens.values()
    assert (token.created, token.expires) == (NOW, NOW + NODE_LIFETIME)


async def test_expired_tokens_are_listed_though_the_clock_jumped(machine: Machine) -> None:
    tokens = machine.engine.tokens
    short = await tokens.create(TokenRequest(role=Role.ADMIN, expires=NOW + SECOND))

    await machine.set(YEARS)
    await tokens.create(TokenRequest(role=Role.ADMIN))

    assert short.token.id in machine.engine.catalogue.snapshot.tokens


async def test_a_release_under_a_clock_ahead_overtakes_no_later_add(
    machine: Machine,
) -> None:
    await machine.set(YEARS)
    await machine.add("one")
    await machine.delete("one")
    await machine.set(-YEARS)

    assert isinstance(await machine.add("one"), Granted)


@pytest.mark.parametrize(("step", "direction"), [(YEARS, "ahead"), (-YEARS, "back")])
async def test_a_step_is_told_in_the_log_and_counted(
    machine: Machine, capsys: pytest.CaptureFixture[str], step: int, direction: str
) -> None:
    await machine.set(step)

    assert "the clock was set" in capsys.readouterr().out
    assert machine.engine.clock.jumps[direction] == 1
