"""Many nodes with leases at once, asking two replicas at random: what they say is what the tables have."""

import asyncio
import random
from typing import Final

import pytest

from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from ipamd.engine.leasing.conversation import Asking, SeatState, WantedSeats
from ipamd.engine.leasing.reporting import Report
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.lease import SeatEvent, SeatEventKind
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Released
from ipamd.models.request import AllocationRequest, Release
from tests.postgres import shared_postgres
from tests.properties.contradictions import contradictions
from tests.properties.history.asking import pool
from tests.properties.test_lease_history import CONFIG

NODES: Final = 6
ROUNDS: Final = 5

pytestmark = pytest.mark.timeout(300)


class BusyNode:
    """A node whose containers begin and end, some of them out of its lease."""

    def __init__(self, number: int, engines: list[Engine]) -> None:
        self.key = NodeKey("default", f"n{number}")
        self.engines = engines
        self.choices = random.Random(number)
        self.states: dict[int, SeatState] = {}
        self.living: dict[int, Identity] = {}
        self.epoch: int | None = None
        self.grant = self.reported = self.calls = 0

    def engine(self) -> Engine:
        return self.choices.choice(self.engines)

    def next_call(self) -> tuple[Identity, Issued]:
        self.calls += 1
        identity = Identity("default", "pods", self.key.name, f"c{self.calls}", "eth0")
        return identity, Issued("boot", self.calls)

    async def run(self) -> None:
        for _ in range(ROUNDS):
            await self.ask()
            await self.report()
            for number, state in self.states.items():
                if state is SeatState.FREE and self.choices.random() < 0.2:
                    self.states[number] = SeatState.RETURNING
            await self.begin_and_end_at_ipamd()

    async def ask(self) -> None:
        told = await self.engine().leases.ask(
            Asking(
                node=self.key,
                machine=self.key.name,
                boot="boot",
                store="store",
                epoch=self.epoch,
                granted=self.grant,
                seats=dict(self.states),
                wanted=[WantedSeats("0a", CONFIG, "pods", (), 6)],
            )
        )
        self.epoch = told.epoch
        if told.seats:
            assert told.granted == self.grant + 1
            self.grant = told.granted
        for seat in told.seats:
            self.states.setdefault(seat.number, SeatState.FREE)
        for number in told.returned:
            del self.states[number]

    async def report(self) -> None:
        engine, events = self.engine(), []
        for number, state in self.states.items():
            if state is SeatState.RETURNING or self.choices.random() < 0.4:
                continue
            begins = state is SeatState.FREE
            identity, issued = self.next_call()
            identity = identity if begins else self.living.pop(number)
            events.append(
                SeatEvent(
                    kind=SeatEventKind.BEGIN if begins else SeatEventKind.END,
                    seat=number,
                    holder=identity,
                    digest=identity.digest,
                    order=await engine.allocator.order_of(self.key, issued),
                    age=0,
                )
            )
            self.states[number] = SeatState.TAKEN if begins else SeatState.FREE
            if begins:
                self.living[number] = identity
        first = self.reported + 1
        assert self.epoch is not None
        done = await engine.reporting.report(
            Report(node=self.key, epoch=self.epoch, store="store", first=first, events=events)
        )
        assert (done.obeyed, done.unknown) == (True, ())
        self.reported = done.acknowledged

    async def begin_and_end_at_ipamd(self) -> None:
        identity, issued = self.next_call()
        taken = await self.engine().submit(AllocationRequest(holder=identity, issued=issued))
        assert isinstance(taken, Granted), taken
        _, later = self.next_call()
        freed = await self.engine().submit(Release(digest=identity.digest, node=self.key, issued=later))
        assert isinstance(freed, Released), freed


async def play() -> None:
    with shared_postgres().migrated() as database:
        url = shared_postgres().url(database)
        engines = [await Engine.open(await open_backend(url)) for _ in range(2)]
        try:
            await engines[0].administration.create_pool(pool("pods", "10.0.0.0/23", 26))
            await engines[1].refresh()
            nodes = [BusyNode(number, engines) for number in range(NODES)]
            await asyncio.gather(*(node.run() for node in nodes))
            usage = await engines[0].queries.usage("pods")
            seats = sum(len(node.states) for node in nodes)
            living = sum(len(node.living) for node in nodes)
            assert (usage.allocated, usage.leased) == (living, seats - living)
            assert not await contradictions(engines[0])
        finally:
            for engine in engines:
                await engine.close()


def test_two_replicas_agree_on_what_many_nodes_did() -> None:
    asyncio.run(play())
