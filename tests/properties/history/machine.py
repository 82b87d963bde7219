"""Every backend's engine beside a plain model: the same calls, at the same instants, the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize

from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend
from ipamd.engine.allocation.waiting import Waited
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.models.instant import SECOND
from ipamd.models.issued import Issued
from ipamd.models.pool import Affinity
from tests import migrated
from tests.backends.suite import IN_MEMORY
from tests.properties.contradictions import contradictions
from tests.properties.history.asking import POOLS, pool
from tests.properties.history.model import Model
from tests.properties.history.told import told
from tests.properties.history.values import FIRST_WAITER, Had, first_of
from tests.simulation.database import postgres_database, sqlite_file
from tests.simulation.time import Loop, Time

T = TypeVar("T")

A_TRY = 1.3
"""Seconds after which whoever is first has tried again."""


@dataclass
class Asked:
    """An allocation that waits at one engine."""

    gone: asyncio.Future[None]
    task: asyncio.Task[Waited]


class Machine(RuleBasedStateMachine):
    """The engines and the model. What they are asked is for rules in modules of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()  # of those who wait; how it passes for addresses the model says
        self.loop = Loop(self.time)
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.databases = ExitStack()
        self.backends: list[Backend] = []
        self.model = Model(now=1_000 * SECOND)
        self.calls = 100
        self.steps = 0
        self.boot = {"n0": 0, "n1": 0}
        self.waiting: dict[int, list[Asked]] = {}
        self.waiters = FIRST_WAITER
        self.looks = 0

    @initialize()
    def open(self) -> None:
        folder = Path(self.folder.name)
        sqlite = self.databases.enter_context(sqlite_file(folder, migrated.empty()))
        self.postgres = self.databases.enter_context(postgres_database(self.time))
        urls = ["memory://", sqlite.url, f"file://{folder / 'files'}", self.postgres.url]
        self.engines = [self.run(self.opened(url)) for url in urls]
        for made in (
            pool("tiny", "10.0.0.0/30", 30),
            pool("plain", "10.0.0.16/28", 30),
            pool("affine", "10.0.1.0/28", 30, affinity=Affinity.NODE),
            pool("six", "fd00::/125", 126),
            pool("sticky", "10.0.2.0/29", 30, sticky=True),
        ):
            self.every(lambda engine, made=made: engine.administration.create_pool(made))
            self.model.pools[made.name] = made

    def teardown(self) -> None:
        for name in POOLS:
            self.adds_up(name)
        found = [self.run(contradictions(engine)) for engine in self.engines]
        for engine in self.engines:
            engine.end_waiting()
        self.run(asyncio.sleep(A_TRY))
        assert all(asked.task.done() for each in self.waiting.values() for asked in each)
        for engine in self.engines:
            self.run(self.closed(engine))
        self.loop.close()
        self.databases.close()
        self.folder.cleanup()
        assert not any(found), found

    async def opened(self, url: str) -> Engine:
        with self.postgres.at_work() if url == self.postgres.url else nullcontext():
            self.backends.append(await open_backend(url))
        return await Engine.open(self.backends[-1], clock=Clock(self.wall, self.passed))

    async def closed(self, engine: Engine) -> None:
        with self.postgres.at_work() if engine is self.engines[-1] else nullcontext():
            await engine.close()

    def wall(self) -> int:
        return self.model.wall

    def passed(self) -> int:
        return self.model.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def every(self, ask: Any) -> Any:
        """Ask each engine the same; they must answer the same."""
        answers = [self.run(told(ask(engine))) for engine in self.engines]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def issued(self, node: str, late: int) -> Issued:
        self.calls += 1
        return Issued(f"boot-{node}-{self.boot[node]}", self.calls - late)

    def edit(self, name: str, **fields: Any) -> None:
        answer = self.every(
            lambda engine: engine.administration.edit_pool(name, lambda old: replace(old, **fields), None)
        )
        refused = self.model.edit(name, **fields)
        assert answer == ("refused", refused) if refused else answer[0] == "pool"

    def pool_of(self, had: Had) -> str:
        return next(name for name, pool in self.model.pools.items() if first_of(had) in pool.subnet)

    def adds_up(self, name: str) -> None:
        if pool := self.model.pools.get(name):
            usage = self.every(lambda engine, name=name: engine.queries.usage(name))[1]
            held, usable = self.model.held(name), self.model.usable(pool)
            left = sum(len(hold.left) for hold in self.model.holds.values() if hold.pool == name)
            kept = {address for address in usable if self.model.keeper(address)}
            cooling = self.model.cooling(pool) & usable - kept - held
            assert (
                usage.size,
                usage.allocated,
                usage.held,
                usage.cooling,
                usage.reserved,
                usage.excluded,
                usage.free,
            ) == (
                pool.subnet.num_addresses,
                len(held) - left,
                left,
                len(cooling),
                len(kept - held),
                pool.subnet.num_addresses - len(usable),
                len(usable - held - kept - cooling),
            )
