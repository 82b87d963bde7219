"""Use over time in a service whose clock goes fast: hourly samples, a year of them, and a forecast."""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
import pytest_asyncio

from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.engine.sampling import Sampling
from ipamd.models.identity import Identity
from ipamd.models.instant import LATEST, SECOND
from ipamd.models.issued import Issued
from ipamd.models.outcome import Granted
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest
from ipamd.models.sample import DAY, HOUR, hour_of

pytestmark = pytest.mark.asyncio

POOL = Pool(name="p", subnet=ip_network("10.65.0.0/24"), block_length=26, cooldown=0)


class Machine:
    """A service in memory, and its clock."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND
        self.clock = Clock(lambda: self.now, lambda: self.now)
        self.backend = MemoryBackend()
        self.sampling = Sampling(self.backend, self.clock)
        self.engine: Engine

    async def start(self) -> None:
        self.engine = await Engine.open(self.backend, self.clock)
        await self.engine.administration.create_pool(POOL)

    async def live(self, hours: int, every: int | None = None) -> None:
        """Let hours pass, each sampled, with an address taken every so many of them."""
        for hour in range(hours):
            if every is not None and hour % every == 0:
                await self.take(f"{self.now}")
            await self.sampling.round()
            self.now += HOUR

    async def take(self, name: str) -> None:
        request = AllocationRequest(
            holder=Identity("c", "pods", "n", name, "eth0"),
            pool_names=(("p",),),
            issued=Issued("boot", self.now),
        )
        assert isinstance(await self.engine.submit(request), Granted)

    async def samples(self) -> list[tuple[int, int]]:
        found = await self.engine.queries.samples("p", 0, LATEST, 100_000)
        return [(each.at, each.allocated) for each in found]


@pytest_asyncio.fixture
async def machine() -> AsyncIterator[Machine]:
    made = Machine()
    await made.start()
    yield made
    await made.engine.close()


async def test_each_hour_has_one_sample_however_often_the_service_looks(machine: Machine) -> None:
    begin = hour_of(machine.now)
    for minute in range(0, 180, 20):
        machine.now = begin + minute * 60 * SECOND
        await machine.sampling.round()
        await Sampling(machine.backend, machine.clock).round()  # another process
        await machine.take(f"c{minute}")

    assert await machine.samples() == [(begin, 0), (begin + HOUR, 3), (begin + 2 * HOUR, 6)]


async def test_samples_are_kept_for_a_year(machine: Machine) -> None:
    await machine.live(2)
    [first, second] = await machine.samples()

    machine.now = first[0] + 365 * DAY
    await machine.sampling.round()

    assert await machine.samples() == [second, (first[0] + 365 * DAY, 0)]


async def test_a_pool_that_fills_evenly_is_said_to_be_full_when_it_will_be(machine: Machine) -> None:
    await machine.live(10 * 24, every=12)

    known = await machine.engine.queries.forecast("p", 30)

    assert known.room == 254 - 20
    assert known.growth == pytest.approx(2, rel=0.05)
    assert known.days == pytest.approx(known.room / 2, rel=0.05)
    assert known.samples == 240
    lately = await machine.engine.queries.forecast("p", 3)
    assert lately.samples in (71, 72)
