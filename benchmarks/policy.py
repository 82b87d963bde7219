"""An ADD among many quotas and owners: its time, and its slowest in a hundred, beside one among none."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.table import Bar, Row, Scale, Table, figure
from ipamd.backends.registry import open_backend
from ipamd.engine.administration.applying import DesiredState
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Workload
from ipamd.models.identity import Identity, Owner, digest_of, owner_in
from ipamd.models.outcome import Granted, Released
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.request import AllocationRequest, Release

NAME: Final = "policy"
ABOUT: Final = """\
Lone ADDs and DELs of pods in one process, taken in turns from two databases of SQLite (synchronous=FULL)
with {owners:,} live allocations each. In one they are those of as many owners whom pods name, all away, and
there are {quotas:,} quotas of one namespace each. In the other there are neither. An ADD is timed from the
engine's entrance to its durable answer, without HTTP."""
OWNERS: Final = {Scale.QUICK: 2_000, Scale.FULL: 100_000}
QUOTAS: Final = {Scale.QUICK: 200, Scale.FULL: 10_000}
ROUNDS: Final = {Scale.QUICK: 1, Scale.FULL: 9}
ADDS: Final = {Scale.QUICK: 50, Scale.FULL: 400}
AT_ONCE: Final = 256
SUBNET: Final = "10.0.0.0/14"
LIMIT: Final = 50
SLOWEST_BAR: Final = Bar(1.10, at_least=False)
MEDIAN_BAR: Final = Bar(1.03, at_least=False)
OWN_QUOTA_BAR: Final = Bar(1.15, at_least=False)


@dataclass
class Side:
    """One of the databases, and how long its ADDs took in each round."""

    engine: Engine
    held: set[IPAddress] = field(default_factory=set)
    seconds: list[list[float]] = field(default_factory=list)

    async def come_and_go(self, name: str, namespace: str) -> None:
        """One pod, whose ADD is timed."""
        holder = Identity("default", "net", "node", name, "eth0")
        asked = AllocationRequest(holder=holder, pool_names=(("pods",),), workload=Workload(namespace, name))
        began = time.perf_counter()
        outcome = await self.engine.submit(asked)
        self.seconds[-1].append(time.perf_counter() - began)
        self.took(outcome)
        released = await self.engine.submit(Release(digest=holder.digest))
        if not (isinstance(released, Released) and released.addresses):
            raise RuntimeError(f"the DEL of {name} freed nothing")

    def took(self, outcome: object) -> None:
        """Raise RuntimeError unless an ADD got an address that nobody has."""
        if not isinstance(outcome, Granted) or outcome.repeated:
            raise RuntimeError(f"an ADD got {outcome}")
        if outcome.grants[0].address in self.held:
            raise RuntimeError(f"{outcome.grants[0].address} was given twice")

    async def fill(self, owners: int, *, named: bool) -> None:
        """Give owners an address each: such as pods name, or others."""
        for begin in range(0, owners, AT_ONCE):
            names = [f"owner-{number}" for number in range(begin, min(begin + AT_ONCE, owners))]
            for outcome in await asyncio.gather(
                *(self.engine.submit(_owned(each, named=named)) for each in names)
            ):
                self.took(outcome)
                assert isinstance(outcome, Granted)  # `took` says so
                self.held.add(outcome.grants[0].address)

    def median(self) -> list[float]:
        """Microseconds, by round."""
        return [1e6 * statistics.median(each) for each in self.seconds]

    def slowest(self) -> list[float]:
        """Microseconds below which 99 of a hundred ADDs stay, by round."""
        return [1e6 * statistics.quantiles(each, n=100)[-1] for each in self.seconds]


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(
        NAME,
        "An ADD among many quotas and owners",
        ABOUT.format(owners=OWNERS[scale], quotas=QUOTAS[scale]),
    )
    asyncio.run(_measure(table, scale))
    return table


async def _measure(table: Table, scale: Scale) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ipamd-bench-")))
        many, none = [await stack.enter_async_context(_side(folder / name)) for name in ("many", "none")]
        await many.fill(OWNERS[scale], named=True)
        await none.fill(OWNERS[scale], named=False)
        quotas = [
            Quota(name=f"q-{each}", limit=LIMIT, namespaces=(f"ns-{each}",)) for each in range(QUOTAS[scale])
        ]
        await many.engine.apply(DesiredState(None, None, quotas), prune=False, dry_run=False)
        for what, namespace, bars in (
            ("a pod without a quota or an owner", "plain", (MEDIAN_BAR, SLOWEST_BAR)),
            ("a pod whose namespace has a quota", "ns-7", (OWN_QUOTA_BAR, SLOWEST_BAR)),
        ):
            many.seconds, none.seconds = [], []
            for _ in range(ROUNDS[scale]):
                await _round(many, none, namespace, ADDS[scale])
            table.add(_row(f"{what}, median", many.median(), none.median(), bars[0]))
            table.add(_row(f"{what}, p99", many.slowest(), none.slowest(), bars[1]))


async def _round(many: Side, none: Side, namespace: str, adds: int) -> None:
    """ADDs in turns, each side first every second time."""
    for side in (many, none):
        side.seconds.append([])
    for number in range(adds):
        for side in (many, none) if number % 2 else (none, many):
            await side.come_and_go(f"pod-{number}", namespace)


def _row(what: str, many: Sequence[float], none: Sequence[float], bar: Bar) -> Row:
    return Row(what, figure("us", many), "none", figure("us", none), (bar,), paired=True)


@asynccontextmanager
async def _side(path: Path) -> AsyncIterator[Side]:
    engine = await Engine.open(await open_backend(f"sqlite:///{path}"))
    try:
        await engine.administration.create_pool(
            Pool(name="pods", subnet=ip_network(SUBNET), block_length=26, cooldown=0)
        )
        yield Side(engine)
    finally:
        await engine.close()


def _owned(name: str, *, named: bool) -> AllocationRequest:
    owner = owner_in("default", "shop", name) if named else Owner(name, digest_of(name))
    return AllocationRequest(
        holder=owner,
        for_owner=owner if named else None,
        pool_names=(("pods",),),
        workload=Workload("shop" if named else None, None),
    )
