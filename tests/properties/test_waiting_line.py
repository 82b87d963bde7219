"""Random histories of those who wait for room at two replicas: in their order, and nobody for ever."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from contextvars import copy_context
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any, Final, TypeVar

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.allocation.waiting import MakeRequest, Waited
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.errors import NothingFree, QuotaExceeded, WouldStrand
from ipamd.models.identity import Owner, digest_of
from ipamd.models.limits import MOST_WAITERS
from ipamd.models.outcome import Granted, Refused
from ipamd.models.pool import Pool
from ipamd.models.query import AllocationQuery
from ipamd.models.quota import Quota
from ipamd.models.request import AllocationRequest, Release
from tests.simulation.time import Life, Loop, Time

T = TypeVar("T")

REPLICAS: Final = st.integers(0, 1)
POOLS: Final = st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")])
TEAM: Final = "team"
TEAMS: Final = st.sampled_from([None, None, TEAM])
LONG: Final = 400
SETTLED: Final = 15.0
"""Seconds after which a dead replica's waiters are gone, and whoever has room was served."""


@dataclass(eq=False)
class Waiting:
    """One that waits, in the order of arrival."""

    owner: Owner
    make: MakeRequest
    pools: tuple[str, ...]
    namespace: str | None
    replica: int
    gone: asyncio.Future[None]
    task: asyncio.Task[Waited]
    killed: bool = False

    @property
    def waits(self) -> bool:
        return not (self.killed or self.gone.done() or self.task.done())


class Replica:
    """An ipamd that can be killed."""

    def __init__(self, backend: MemoryBackend, passing: Time) -> None:
        self._backend = backend
        self._clock = Clock(lambda: passing.wall_ns() // 1000, lambda: passing.now // 1000)

    async def start(self) -> None:
        self.life = Life(copy_context())
        self.engine = await self.life.start(Engine.open(self._backend, clock=self._clock))


class WaitingLine(RuleBasedStateMachine):
    """Two replicas on one database, two small pools, and a namespace with a quota for one of them or both."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.replaced = self.time.replaced(lambda _: None)
        self.replaced.__enter__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.loop = Loop(self.time)
        self.backend = MemoryBackend()
        self.replicas = [Replica(self.backend, self.time) for _ in range(2)]
        self.line: list[Waiting] = []
        self.owners = 0
        self.passed: list[tuple[str, str, str]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(limited=st.sampled_from([None, "a"]))
    def open(self, limited: str | None) -> None:
        self.limited = limited
        for each in self.replicas:
            self.run(each.start())
        engine = self.replicas[0].engine
        for name, subnet, cooldown in (("a", "10.0.0.0/29", 0), ("b", "10.0.1.0/29", 3)):
            made = Pool(name=name, subnet=ip_network(subnet), block_length=30, cooldown=cooldown)
            self.run(engine.administration.create_pool(made))
            self.run(engine.administration.edit_pool(name, lambda pool: narrowed(pool, 2), None))
        self.run(engine.quotas.create(Quota(name="q", limit=1, namespaces=(TEAM,), pool=limited)))
        self.run(asyncio.sleep(2.0))  # the other replica hears of it
        for name in "aabb":
            self.take_without_waiting(0, (name,))

    def teardown(self) -> None:
        try:
            self.run(asyncio.sleep(LONG + SETTLED))
            assert not any(each.waits for each in self.line)
            self.nobody_passed_who_came_first()
            for each in self.replicas:
                assert self.run(each.engine.waiting.read()) == []
                self.run(each.engine.close())
        finally:
            structlog.reset_defaults()
            self.replaced.__exit__(None, None, None)

    def owner(self) -> Owner:
        self.owners += 1
        return Owner(f"vm-{self.owners}", digest_of(str(self.owners)))

    @rule(
        comers=st.lists(
            st.tuples(REPLICAS, POOLS, TEAMS, st.sampled_from([5, LONG, LONG])), min_size=1, max_size=3
        )
    )
    def wait(self, comers: list[tuple[int, tuple[str, ...], str | None, int]]) -> None:
        for comer in comers:
            self.run(self.come(*comer))

    async def come(self, at: int, pools: tuple[str, ...], namespace: str | None, seconds: int) -> None:
        owner, gone = self.owner(), self.loop.create_future()
        engine = self.replicas[at].engine

        def make(_: Catalogue) -> AllocationRequest:
            return AllocationRequest(holder=owner, pool_names=(pools,), workload=Workload(namespace, None))

        task = self.replicas[at].life.start(engine.waiting.allocate(make, seconds, gone))
        waiting = Waiting(owner, make, pools, namespace, at, gone, task)
        self.line.append(waiting)
        task.add_done_callback(lambda _: self.check(waiting))
        await asyncio.sleep(0.2)

    def check(self, served: Waiting) -> None:
        """Note who was passed: whoever came earlier, is alive, and could have had this address."""
        outcome = None if served.task.cancelled() else served.task.result().outcome
        if not isinstance(outcome, Granted):
            return
        [grant] = outcome.grants
        earlier = self.line[: self.line.index(served)]
        self.passed += [
            (served.owner.name, other.owner.name, grant.pool.name)
            for other in earlier
            if other.waits
            and grant.pool.name in other.pools
            and (other.namespace in (None, served.namespace) or self.limited not in (None, grant.pool.name))
        ]

    @invariant()
    def nobody_passed_who_came_first(self) -> None:
        assert self.passed == []

    @rule(at=REPLICAS, pools=POOLS)
    def take_without_waiting(self, at: int, pools: tuple[str, ...]) -> None:
        asked = AllocationRequest(holder=self.owner(), pool_names=(pools,))
        self.run(self.replicas[at].engine.allocate(asked))

    def held(self) -> list[Allocation]:
        return list(self.run(self.backend.ledger.page(AllocationQuery(), None, 100)))

    @rule(at=REPLICAS, which=st.integers(0, 9), seconds=st.sampled_from([0.0, 0.01, 0.3, SETTLED]))
    def release(self, at: int, which: int, seconds: float) -> None:
        held = self.held()
        if held:
            row = held[which % len(held)]
            self.run(self.replicas[at].engine.submit(Release(digest=row.digest)))
            self.pass_time(seconds)

    @rule(which=st.integers(0, 9))
    def leave(self, which: int) -> None:
        waiting = [each for each in self.line if each.waits]
        if waiting:
            waiting[which % len(waiting)].gone.set_result(None)
            self.run(asyncio.sleep(0.01))

    @rule(at=REPLICAS)
    def kill(self, at: int) -> None:
        for each in self.line:
            each.killed |= each.replica == at and not each.task.done()
        self.run(self.replicas[at].life.kill())
        self.run(self.replicas[at].start())

    @rule(limit=st.integers(0, 3))
    def state_the_quota(self, limit: int) -> None:
        quotas = self.replicas[0].engine.quotas
        self.run(quotas.edit("q", lambda quota: replace(quota, limit=limit), None))

    @rule(name=st.sampled_from("ab"), size=st.integers(2, 4))
    def change_a_pool(self, name: str, size: int) -> None:
        administration = self.replicas[1].engine.administration
        try:
            self.run(administration.edit_pool(name, lambda pool: narrowed(pool, size), None))
        except WouldStrand:
            return  # somebody has an address that would be outside

    @rule(seconds=st.sampled_from([1.0, SETTLED]))
    def pass_time(self, seconds: float) -> None:
        """Whoever waits after a while lacks what it says."""
        self.run(asyncio.sleep(seconds))
        if seconds < SETTLED:
            return
        waiting = [each for each in self.line if each.waits]
        line = self.run(self.replicas[1].engine.waiting.read())
        assert [each.owner for each in line] == [each.owner.name for each in waiting]
        for each in waiting:
            engine = self.replicas[0].engine
            outcome = self.run(engine.allocator.dry_run(each.make(engine.catalogue)))
            assert isinstance(outcome, Refused), (each.owner.name, outcome)
            assert isinstance(outcome.error, NothingFree | QuotaExceeded)


def test_a_place_that_its_waiter_never_heard_of_keeps_nobody_waiting() -> None:
    """The answer to the commit that made it was lost, and its replica lives and has others that wait."""
    line = WaitingLine()
    line.open(None)
    line.wait([(0, ("a",), None, LONG)])
    [waiter] = line.run(line.backend.line.read())
    line.leave(0)
    line.run(line.backend.line.enter(replace(waiter, owner="nobody"), MOST_WAITERS))
    line.wait([(0, ("a",), None, LONG)])

    line.release(0, 0, SETTLED)

    served = line.line[1].task.done()
    line.teardown()
    assert served


def narrowed(pool: Pool, size: int) -> Pool:
    """The pool with so many addresses to give, from its second one on."""
    return replace(pool, ranges=(AddressRange(pool.subnet[2], pool.subnet[1 + size]),))


TestWaitingLine = WaitingLine.TestCase
TestWaitingLine.settings = settings(
    max_examples=40 * int(os.environ.get("CAMPAIGN", "1")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
