"""Nodes, ipamd and what runtimes were told: a history of leases is played here."""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Identity
from ipamd.models.pool import Pool
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.properties.contradictions import contradictions
from tests.simulation.database import Database, postgres_database, sqlite_file
from tests.simulation.machine import CLUSTER, Ended, Machine
from tests.simulation.service import Service
from tests.simulation.time import NS, Loop, Time

T = TypeVar("T")
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
EVERYTHING: Final = 10_000


@cache
def _empty_database() -> bytes:
    """A database of today's form, made once: a migration takes longer than a history."""

    async def make(path: Path) -> None:
        backend = await open_backend(f"sqlite:///{path}")
        await backend.close()

    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "ipamd.sqlite"
        asyncio.run(make(path))
        return path.read_bytes()


@dataclass
class Stay:
    """A container's time with its addresses, as its runtime knows it."""

    machine: Machine
    container: str
    addresses: tuple[str, ...]
    began: int
    begun: int
    """Between these moments, in microseconds of the wall clock, its ADD ran."""
    ended: int | None = None


class World:
    """ipamd, one pool, and some nodes."""

    def __init__(
        self,
        nodes: int,
        subnet: str = "10.0.0.0/28",
        *,
        seats: int = 4,
        cooldown: int = 0,
        on_postgres: bool = False,
    ) -> None:
        random.seed(0)  # pauses of the agent
        self._closing = ExitStack()
        self.time = Time()
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        made: AbstractContextManager[Database] = (
            postgres_database(self.time) if on_postgres else sqlite_file(self.folder, _empty_database())
        )
        database = self._closing.enter_context(made)
        self._closing.enter_context(self.time.replaced(self.pass_time))
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self._closing.callback(structlog.reset_defaults)
        self.loop = Loop(self.time)
        self.service = Service(self.time, database)
        self._seats = seats
        self.machines: list[Machine] = []
        self.retired: list[Machine] = []
        """Those that were there, and will not come back."""
        self.living: dict[tuple[str, str], Stay] = {}
        self.stays: list[Stay] = []
        """What was, in the order in which it began."""
        self.warm: dict[str, int] = {}
        """When addresses were given up, in microseconds of the wall clock."""
        self._cooldown = cooldown
        self.run(self.service.start())
        pool = Pool(name="pods", subnet=ip_network(subnet), block_length=30, cooldown=cooldown)
        self.admin(lambda engine: engine.administration.create_pool(pool))
        for number in range(nodes):
            self.add_machine(f"n{number}", f"m{number}")

    def add_machine(self, name: str, identity: str, disk_of: Machine | None = None) -> Machine:
        """A machine with its agent, whose node has that name. It may be a clone of another machine's disk."""
        made = Machine(name, identity, self.folder, self.loop, self.time, self.service.serve, self._seats)
        if disk_of is not None:
            made.copy_disk(disk_of)
        self.machines.append(made)
        made.start_agent()
        return made

    def close(self) -> None:
        """End everything."""
        try:
            for machine in (*self.machines, *self.retired):
                machine.kill_agent()
                self.run(machine.link.close())
            self.run(self.service.stop())
        finally:
            self._closing.close()
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.loop.run_until_complete(wait())

    def admin(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """What ipamd answers to an admin."""
        return self.run(self.service.ask(work))

    def pass_time(self, seconds: float) -> None:
        """Let everybody work for so long."""
        self.run(asyncio.sleep(seconds))

    def until(self, holds: Callable[[], bool], seconds: float = 60, *, step: float = 0.5) -> None:
        """Let time pass until something holds."""
        end = self.time.now + seconds * NS
        while not holds():
            assert self.time.now < end, "it does not come to hold"
            self.pass_time(step)

    # What runtimes do.

    def add(self, machine: Machine, container: str, **how: Any) -> Ended:
        """An ADD. No other living container has an address that it gets."""
        began = self.now()
        return self.heard(machine, container, began, machine.call("ADD", container, **how))

    def heard(self, machine: Machine, container: str, began: int, ended: Ended) -> Ended:
        """A runtime hears what became of an ADD."""
        if ended.code != 0:
            return ended
        key = machine.identity, container
        known = self.living.get(key)
        if known is not None:
            assert known.addresses == ended.addresses, (known, ended)
            return ended
        for other in self.living.values():
            shared = set(other.addresses) & set(ended.addresses)
            assert not shared, f"{container} on {machine.identity} got {shared} of {other}"
        for address in ended.addresses:
            cool = self.warm.get(address, 0) + self._cooldown * 1_000_000
            assert self.now() >= cool, f"{container} on {machine.identity} got {address} too early"
        self.living[key] = stay = Stay(machine, container, ended.addresses, began, self.now())
        self.stays.append(stay)
        return ended

    def delete(self, machine: Machine, container: str, **how: Any) -> Ended:
        """A DEL. With it the container gives up its addresses."""
        self.ends(machine, container)
        ended = machine.call("DEL", container, **how)
        assert ended.code in (0, None), ended
        return ended

    def ends(self, machine: Machine, container: str) -> None:
        """A container has no right to its addresses any more."""
        gone = self.living.pop((machine.identity, container), None)
        if gone is not None:
            gone.ended = self.now()
            self.warm |= dict.fromkeys(gone.addresses, self.now())

    def power_cut(self, machine: Machine) -> None:
        """A machine loses its power, and all containers with it. It boots, and its agent starts."""
        for stay in list(self.living.values()):
            if stay.machine is machine:
                self.ends(machine, stay.container)
                for address in stay.addresses:
                    del self.warm[address]  # if nobody ever hears of its use, it need not cool
        machine.power_cut()
        machine.start_agent()

    def now(self) -> int:
        return self.time.wall_ns() // 1000

    # What the tables say.

    def rows(self) -> list[Allocation]:
        """All live rows."""
        return list(
            self.admin(lambda engine: engine.queries.allocations(AllocationQuery(), None, EVERYTHING))
        )

    def held(self) -> Mapping[tuple[str, str], set[str]]:
        """Which container has what, as ipamd says it."""
        found: dict[tuple[str, str], set[str]] = {}
        for row in self.rows():
            if isinstance(row.holder, Identity):
                key = row.holder.node, row.holder.container_id
                found.setdefault(key, set()).add(str(row.address))
        return found

    def history(self) -> list[Allocation]:
        """Everything that was, earliest first."""
        page = self.admin(lambda engine: engine.queries.history(HistoryQuery(), None, EVERYTHING))
        return list(page.rows)[::-1]

    def leased(self) -> int:
        """How many addresses nodes hold in advance."""
        return self.admin(lambda engine: engine.queries.usage("pods")).leased

    def machine_with_lease(self, name: str) -> str | None:
        """The identity of the machine that has a node's lease."""
        leases = self.admin(lambda engine: engine.lease_uses.of_nodes(CLUSTER, name, None))
        return next((lease.machine for lease in leases), None)

    def contradictions(self) -> list[Any]:
        return self.admin(contradictions)
