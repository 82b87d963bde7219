"""One random history against every backend and a plain model: the same answers, and every promise kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from ipamd.addressing.gateway import default_gateway
from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend
from ipamd.engine.allocation.collection import Collection
from ipamd.engine.allocation.owners import OwnerKey
from ipamd.engine.allocation.waiting import Waited
from ipamd.engine.clock import MOST_STEPS, Clock
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.errors import DomainError
from ipamd.models.finding import Finding
from ipamd.models.hold import Hold, HoldState, HoldUse
from ipamd.models.identity import Identity, Owner, digest_of, owner_in
from ipamd.models.instant import SECOND
from ipamd.models.issued import Issued
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Outcome, Refused, Released
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.query import AllocationQuery
from ipamd.models.quota import Quota
from ipamd.models.request import AllocationRequest, PrefixRequest, Release
from ipamd.models.reservation import Reservation
from tests import migrated
from tests.backends.suite import IN_MEMORY
from tests.properties.model import (
    FIRST_WAITER,
    Answer,
    Had,
    Held,
    Kept,
    Limit,
    Model,
    Moment,
    Waiter,
    each_of,
    first_of,
    is_machine,
    node_of,
    workload_of,
)
from tests.simulation.database import postgres_database, sqlite_file
from tests.simulation.time import Loop, Time

T = TypeVar("T")

CONTAINERS = st.integers(0, 5)
SLOTS = st.sampled_from(
    [
        [["tiny"]],
        [["plain"]],
        [["six"]],
        [["affine"]],
        [["plain"], ["six"]],
        [["tiny", "plain"]],
        [["affine"], ["six"], ["tiny"]],
        [["sticky"]],
        [["plain", "sticky"], ["six"]],
    ]
)
OWNERS = st.integers(0, 1)
OWNED_SLOTS = st.sampled_from(
    [[["plain"]], [["six"]], [["affine"]], [["plain"], ["six"]], [["six"], ["affine"]]]
)
LATE = st.one_of(st.just(0), st.just(0), st.integers(1, 12))
"""How many calls ago a call was issued: most are in order."""

NOT_HAD = ["address-taken", "address-unavailable"]
WAITED_FOR = ["tiny", "tiny", "sticky", "sticky", "six", "affine"]
POOLS = ["tiny", "plain", "affine", "six", "sticky"]


def pool(name: str, subnet: str, block_length: int, **fields: Any) -> Pool:
    network = ip_network(subnet)
    gateway = default_gateway(network)
    return Pool(
        name=name,
        subnet=network,
        gateway=gateway,
        block_length=block_length,
        cooldown=5,
        owner_keep=4,
        **fields,
    )


LONGEST_LINE = 3
WAIT_SECONDS = 600
A_TRY = 1.3
"""Seconds after which whoever is first has tried again."""


@dataclass
class Asked:
    """An allocation that waits at one engine."""

    gone: asyncio.Future[None]
    task: asyncio.Task[Waited]


class History(RuleBasedStateMachine):
    """Drives every backend's engine with the same calls, at the same instants."""

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

    @rule(container=CONTAINERS, pool_names=SLOTS, late=LATE)
    def add(self, container: int, pool_names: list[list[str]], late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: explained_then_asked(engine, ask(container, pool_names, issued)))
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            held = [address for _, address in self.model.holdings[container].addresses]
            assert answer == ("granted", held, True)
            self.model.repeated(container, moment)
        elif not self.model.serves(container, pool_names):
            assert answer in [
                ("refused", "nothing-free"),
                ("refused", "address-taken"),
                ("refused", "address-unavailable"),
                *([("refused", "quota-exceeded")] if self.model.limits else []),
            ]
        else:
            kind, addresses, repeated = answer
            assert (kind, repeated) == ("granted", False)
            assert self.model.fits(container, pool_names, addresses)
            self.model.granted(container, [(self.pool_of(each), each) for each in addresses], moment)

    @rule(container=CONTAINERS, name=st.sampled_from(POOLS), offset=st.integers(0, 15))
    def add_with_a_requested_address(self, container: int, name: str, offset: int) -> None:
        pool = self.model.pools[name]
        address = pool.subnet[0] + offset
        issued = self.issued(node_of(container), 0)
        moment = self.model.moment(node_of(container), issued)
        request = ask(container, [[name]], issued, (address,))
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        keeper = self.model.keeper(address)
        foreign = keeper is not None and keeper.workload != workload_of(container)
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            held = [each for _, each in self.model.holdings[container].addresses]
            if address in held:
                assert answer == ("granted", held, True)
                self.model.repeated(container, moment)
            else:
                assert answer == ("refused", "address-unavailable")
        elif address not in self.model.usable(pool) or foreign:
            assert answer == ("refused", "address-unavailable")
        elif not self.model.open([name]):
            assert answer == ("refused", "quota-exceeded")
        elif pool.state is PoolState.DRAINING:
            assert answer == ("refused", "nothing-free")
        elif (hold := self.model.hold_with(container, address)) is not None:
            if self.model.is_kept_in_its_hold(container, pool, address, hold):
                assert answer == ("refused", "address-unavailable")
            else:
                assert answer == ("granted", [address], False)
                self.model.granted(container, [(name, address)], moment)
        elif address in self.model.held(name):
            assert answer == ("refused", "address-taken")
        elif self.model.is_kept_from(container, pool, address):
            assert answer == ("refused", "address-unavailable")
        else:
            assert answer == ("granted", [address], False)
            self.model.granted(container, [(name, address)], moment)

    @rule(container=CONTAINERS, name=st.sampled_from(POOLS), bits=st.integers(1, 2), late=LATE)
    def take_a_prefix(self, container: int, name: str, bits: int, late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        pool = self.model.pools[name]
        length = pool.subnet.max_prefixlen - bits
        wanted = PrefixRequest(length, (name,), alone=True)
        request = structs.replace(ask(container, [[name]], issued), prefix=wanted)
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        room = self.model.prefixes(pool, length)
        kept = [each for each in self.model.reserved_for(container) if each.first in pool.subnet]
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            assert answer == ("granted", self.had_by(container), True)
            self.model.repeated(container, moment)
        elif length <= pool.subnet.prefixlen:
            assert answer == ("refused", "invalid")
        elif not self.model.allows(pool, length):
            assert answer == ("refused", "quota-exceeded")
        elif any(each.size >= 1 << bits for each in kept):
            self.take_the_prefix(container, name, answer, moment, ["nothing-free", *NOT_HAD])
        elif not room:
            assert answer == ("refused", "nothing-free")
        elif pool.affinity is Affinity.NODE and answer[0] == "refused":
            assert answer == ("refused", "nothing-free")  # no block of the node has it: none is lent
        else:
            assert answer[0] == "granted"
            assert answer[1][0] in room
            self.take_the_prefix(container, name, answer, moment, [])

    @rule(
        container=CONTAINERS,
        name=st.sampled_from(POOLS),
        offset=st.integers(0, 15),
        bits=st.integers(1, 2),
    )
    def take_a_certain_prefix(self, container: int, name: str, offset: int, bits: int) -> None:
        pool = self.model.pools[name]
        length = pool.subnet.max_prefixlen - bits
        first = pool.subnet[0] + offset
        issued = self.issued(node_of(container), 0)
        moment = self.model.moment(node_of(container), issued)
        wanted = PrefixRequest(length, (name,), first, alone=True)
        request = structs.replace(ask(container, [[name]], issued), prefix=wanted)
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        every = [first + each for each in range(1 << bits)]
        keepers = [self.model.keeper(each) for each in every]
        foreign = [kept for kept in keepers if kept and kept.workload != workload_of(container)]
        cooling = self.model.cooling(pool)
        sticks = any(each in cooling and not self.model.keeper(each) for each in every)
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            assert answer == ("granted", self.had_by(container), True)
            self.model.repeated(container, moment)
        elif length <= pool.subnet.prefixlen or int(first) % (1 << bits):
            assert answer == ("refused", "invalid")
        elif foreign or not self.model.usable(pool).issuperset(every):
            assert answer == ("refused", "address-unavailable")
        elif not self.model.allows(pool, length):
            assert answer == ("refused", "quota-exceeded")
        elif pool.state is PoolState.DRAINING:
            assert answer == ("refused", "nothing-free")
        elif pool.affinity is Affinity.NODE:
            taken = not self.model.held(name).isdisjoint(every)
            codes = ["address-taken", "address-unavailable"] if taken else ["address-unavailable"]
            self.take_the_prefix(container, name, answer, moment, codes)
        elif pool.sticky and sticks:
            assert answer == ("refused", "address-unavailable")
        elif not self.model.held(name).isdisjoint(every):
            assert answer == ("refused", "address-taken")
        else:
            assert answer == ("granted", [ip_network((first, length))], False)
            self.take_the_prefix(container, name, answer, moment, [])

    @rule(container=CONTAINERS, pool_names=SLOTS, bits=st.integers(1, 2))
    def add_with_a_prefix_beside(self, container: int, pool_names: list[list[str]], bits: int) -> None:
        """The prefix comes from the pools of the first address, and comes last."""
        if container in self.model.holdings or self.model.reserved_for(container):
            return
        issued = self.issued(node_of(container), 0)
        moment = self.model.moment(node_of(container), issued)
        length = self.model.pools[pool_names[0][0]].subnet.max_prefixlen - bits
        request = structs.replace(ask(container, pool_names, issued), prefix=PrefixRequest(length))
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif answer[0] == "refused":
            possible = [name for slot in pool_names for name in slot]
            open_ones = not self.model.limits and "affine" not in possible
            if open_ones and self.model.serves(container, pool_names):
                room = [self.model.prefixes(self.model.pools[name], length) for name in possible]
                assert sum(map(len, room)) <= len(pool_names) or answer[1] == "invalid"
        else:
            *addresses, prefix = answer[1]
            assert self.model.fits(container, pool_names, addresses)
            pool = self.model.pools[self.pool_of(prefix)]
            assert prefix in self.model.prefixes(pool, length)
            assert not any(address in prefix for address in addresses)
            given = [(self.pool_of(each), each) for each in answer[1]]
            self.model.granted(container, given, moment)

    def had_by(self, container: int) -> list[Had]:
        return [had for _, had in self.model.holdings[container].addresses]

    def take_the_prefix(
        self, container: int, name: str, answer: Answer, moment: Moment, refusals: list[str]
    ) -> None:
        """What was given is nobody's and may be had; else one of these refusals was said."""
        if answer[0] == "refused":
            assert answer[1] in refusals
            return
        granted: list[Any] = answer[1]  # type: ignore[assignment]  # as `told` makes it
        [prefix] = granted
        pool = self.model.pools[name]
        assert self.model.usable(pool).issuperset(prefix)
        assert self.model.held(name).isdisjoint(prefix)
        self.model.granted(container, [(name, prefix)], moment)

    @rule(container=CONTAINERS, owner=OWNERS, pool_names=OWNED_SLOTS, late=LATE)
    def add_for_an_owner(self, container: int, owner: int, pool_names: list[list[str]], late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        request = structs.replace(ask(container, pool_names, issued), for_owner=owner_named(owner))
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        owned = self.model.owned_by(owner, pool_names)
        missing = [slot for slot, address in zip(pool_names, owned, strict=True) if address is None]
        full = [address for address in owned if address and len(self.model.owned[address].holders) == 2]
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            held = [address for _, address in self.model.holdings[container].addresses]
            assert answer == ("granted", held, True)
            self.model.repeated(container, moment)
        elif full or not self.model.serves(container, missing):
            codes = {"owner-full"} if full else set()
            if missing and not self.model.serves(container, missing):
                codes |= {"nothing-free", "address-taken", "address-unavailable"}
                codes |= {"quota-exceeded"} if self.model.limits else set()
            assert answer[0] == "refused"
            assert answer[1] in codes
        else:
            kind, addresses, repeated = answer
            assert (kind, repeated) == ("granted", False)
            given = list(zip(addresses, owned, strict=True))
            assert all(address == known for address, known in given if known is not None)
            new = [address for address, known in given if known is None]
            assert self.model.fits(container, missing, new)
            self.model.given_to_owner(container, owner, [(self.pool_of(a), a) for a in addresses], moment)

    @rule(owner=OWNERS, name=st.sampled_from(["plain", "six"]))
    def make_in_advance(self, owner: int, name: str) -> None:
        holder = owner_named(owner)
        request = AllocationRequest(
            holder=holder, for_owner=holder, pool_names=((name,),), workload=Workload("default")
        )
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        [known] = self.model.owned_by(owner, [[name]])
        if known is not None:
            assert answer == ("granted", [known], True)
        elif not self.model.open([name]):
            assert answer == ("refused", "quota-exceeded")
        elif not (first := self.model.out_of_a_hold(None, [name], 0)) and not self.model.ready(
            self.model.pools[name]
        ):
            assert answer == ("refused", "nothing-free")
        else:
            assert answer[0] == "granted"
            assert answer[1][0] in (first or self.model.ready(self.model.pools[name]))
            self.model.given_to_owner(None, owner, [(name, answer[1][0])], (0, 0))

    @rule()
    def release_owners_who_were_away_for_long(self) -> None:
        answer = self.every(lambda engine: engine.owners.release_away())
        assert answer == ("value", self.model.release_those_away())

    @precondition(lambda self: self.model.owned)
    @rule(data=st.data(), with_holders=st.booleans())
    def release_an_owner(self, data: st.DataObject, with_holders: bool) -> None:
        owner = data.draw(st.sampled_from(sorted({owned.owner for owned in self.model.owned.values()})))
        key = OwnerKey("default", "default", f"vm{owner}")
        answer = self.every(
            lambda engine: engine.owners.release(key, with_holders=with_holders, by=None, reason=None)
        )
        mine = {address: each for address, each in self.model.owned.items() if each.owner == owner}
        holders = {container for each in mine.values() for container in each.holders}
        if holders and not with_holders:
            assert answer == ("refused", "owner-held")
            return
        assert answer == ("addresses", set(mine))
        for container in holders:
            self.model.end(container)
        for address in mine:
            self.model.end_owner(address)

    @rule(container=CONTAINERS, late=LATE)
    def delete(self, container: int, late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(release(container, issued)))
        assert answer == ("released", self.model.release(container, moment))

    @rule(container=CONTAINERS, late=LATE)
    def undo(self, container: int, late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
        assert answer == ("released", self.model.release(container, moment, undo=True))

    @rule(container=CONTAINERS)
    def undo_what_was_just_taken(self, container: int) -> None:
        """An ADD whose answer is lost, undone by its plugin, and then arriving once more."""
        if container in self.model.holdings or not self.model.serves(container, [["plain"]]):
            return
        issued = self.issued(node_of(container), 0)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(ask(container, [["plain"]], issued)))
        if answer[0] != "granted":
            assert self.model.overtaken(container, moment)
            return
        self.model.granted(container, [("plain", each) for each in answer[1]], moment)
        answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
        freed = self.model.release(container, moment, undo=True)
        assert answer == ("released", freed)
        assert freed
        answer = self.every(lambda engine: engine.submit(ask(container, [["plain"]], issued)))
        assert answer == ("refused", "overtaken")

    @rule(container=CONTAINERS)
    def undo_the_add_that_took(self, container: int) -> None:
        """By then another ADD may have been told of the address."""
        holding = self.model.holdings.get(container)
        if holding is not None:
            boot, uptime_ns = holding.taken
            issued = Issued(self.model.boots[node_of(container)][boot], uptime_ns)
            answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
            assert answer == ("released", self.model.release(container, holding.taken, undo=True))

    @rule(container=CONTAINERS, age=st.integers(1, 3))
    def delete_out_of_a_spool(self, container: int, age: int) -> None:
        """A release of an earlier boot, maybe one that nobody heard of, delivered in this one."""
        node = node_of(container)
        issued = self.issued(node, 0)
        old = Issued(f"boot-{node}-{self.boot[node] - age}", issued.uptime_ns)
        moment = self.model.moment(node, old, issued)
        answer = self.every(lambda engine: engine.submit(release(container, old, delivered=issued)))
        assert answer == ("released", self.model.release(container, moment))

    @rule(node=st.sampled_from(["n0", "n1"]))
    def reboot(self, node: str) -> None:
        self.boot[node] += 1

    @rule(node=st.sampled_from(["n0", "n1"]), keep=st.sets(CONTAINERS), late=LATE)
    def collect(self, node: str, keep: set[int], late: int) -> None:
        issued = self.issued(node, late)
        moment = self.model.moment(node, issued)
        sweep = Collection(
            cluster="default",
            node=node,
            network="pods",
            keep=frozenset((f"c{container}", "eth0") for container in keep),
            issued=issued,
        )
        answer = self.every(lambda engine: engine.collector.collect(sweep))
        freed: set[IPAddress] = set()
        for container in list(self.model.holdings):
            if node_of(container) == node and container not in keep:
                freed |= self.model.release(container, moment)
        assert answer == ("released", freed)

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.model.now += seconds * SECOND
        over = [name for name, hold in self.model.holds.items() if hold.until <= self.model.now]
        if over:  # at once, for each engine looks for such by itself
            self.every(lambda engine: engine.holds.finish())
        for name in over:
            self.model.end_hold(name)

    @precondition(lambda self: self.steps < MOST_STEPS)
    @rule(seconds=st.integers(3, 10**8))
    def set_the_clock_ahead(self, seconds: int) -> None:
        """Nothing cools faster by it: the model knows only how much time has passed."""
        self.model.ahead += seconds * SECOND
        self.steps += 1

    @rule(seconds=st.integers(0, 20))
    def forget_what_ended_long_ago(self, seconds: int) -> None:
        before = self.wall() - seconds * SECOND
        for backend in self.backends:
            self.run(backend.forget_history(before, 0))

    @rule(name=st.sampled_from(POOLS), offset=st.integers(0, 7))
    def exclude(self, name: str, offset: int) -> None:
        address = self.model.pools[name].subnet[0] + offset
        if address in self.model.pools[name].subnet:
            excluded = (*self.model.pools[name].exclusions, AddressRange(address, address))
            self.edit(name, exclusions=excluded)

    @rule(name=st.sampled_from(POOLS))
    def include_again(self, name: str) -> None:
        self.edit(name, exclusions=())

    @rule(name=st.sampled_from(POOLS))
    def drain_and_back(self, name: str) -> None:
        draining = self.model.pools[name].state is PoolState.DRAINING
        self.edit(name, state=PoolState.ACTIVE if draining else PoolState.DRAINING)

    @rule(name=st.sampled_from(POOLS), seconds=st.integers(0, 5))
    def cool_longer_or_shorter(self, name: str, seconds: int) -> None:
        self.edit(name, cooldown=seconds)

    @rule(sticky=st.booleans())
    def stick_or_not(self, sticky: bool) -> None:
        self.edit("sticky", sticky=sticky)

    @rule(
        name=st.sampled_from(["q", "r"]),
        limit=st.integers(0, 4),
        pool=st.sampled_from([None, None, "plain", "tiny"]),
        family=st.sampled_from([None, None, 4]),
        pattern=st.sampled_from(["default", "def*", "*"]),
        shared=st.booleans(),
    )
    def limit(
        self, name: str, limit: int, pool: str | None, family: int | None, pattern: str, shared: bool
    ) -> None:
        """State a quota, or change it: it counts what is held by then."""
        stated = Quota(name=name, limit=limit, namespaces=(pattern,), pool=pool, family=family, shared=shared)
        if name in self.model.limits:
            answer = self.every(lambda engine: engine.quotas.edit(name, lambda _: stated, None))
        else:
            answer = self.every(lambda engine: engine.quotas.create(stated))
        assert answer == ("quota", name, limit, False)
        self.model.limits[name] = Limit(limit, pool, family, shared)

    @precondition(lambda self: self.model.limits)
    @rule(data=st.data())
    def limit_no_longer(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.limits)))
        self.every(lambda engine: engine.quotas.delete(name, None))
        del self.model.limits[name]

    @rule(
        name=st.sampled_from(["g", "h"]),
        size=st.integers(1, 3),
        pool=st.sampled_from(POOLS),
        workloads=st.sampled_from([None, None, "web-0"]),
        pattern=st.sampled_from(["default", "def*", "*"]),
        seconds=st.integers(1, 20),
    )
    def hold(
        self, name: str, size: int, pool: str, workloads: str | None, pattern: str, seconds: int
    ) -> None:
        """All that a hold asks for, or nothing."""
        stated = Hold(
            name=name,
            size=size,
            pool=pool,
            namespaces=(pattern,),
            workloads=(workloads,) if workloads else (),
            since=0,
            seconds=seconds,
        )
        answer = self.every(lambda engine: engine.holds.create(stated))
        if name in self.model.holds:
            assert answer == ("refused", "hold-exists")
        elif self.model.pools[pool].state is PoolState.DRAINING:
            assert answer == ("refused", "invalid")
        elif len(self.model.ready(self.model.pools[pool])) < size:
            assert answer == ("refused", "hold-unfilled")
        else:
            assert answer == ("hold", name, HoldState.STANDING)
            query = AllocationQuery(owner=f"hold:{name}")
            _, rows = self.every(lambda engine: engine.queries.allocations(query, None, 1000))
            addresses = {address for _, address in rows}
            assert len(addresses) == size
            assert addresses <= self.model.ready(self.model.pools[pool])
            made = Held(pool, workloads, self.model.now + seconds * SECOND)
            self.model.hold(name, made, addresses)

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release_a_hold(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.holds)))
        assert self.every(lambda engine: engine.holds.release(name, None)) == ("value", None)
        self.model.end_hold(name)

    @rule()
    def grow(self) -> None:
        self.edit("tiny", subnet=ip_network("10.0.0.0/29"))

    @rule(
        offset=st.integers(0, 14),
        size=st.sampled_from([1, 1, 2, 4]),
        container=st.one_of(st.none(), CONTAINERS),
    )
    def reserve(self, offset: int, size: int, container: int | None) -> None:
        first = self.model.pools["plain"].subnet[0] + offset
        addresses = AddressRange(first, first + size - 1)
        workload = workload_of(container) if container is not None else None
        asked = Reservation(
            id=0, addresses=addresses, namespace="default" if workload else None, name=workload
        )
        answer = self.every(lambda engine: engine.administration.create_reservation(asked))
        taken = any(kept.addresses.overlaps(addresses) for kept in self.model.kept.values())
        foreign = any(
            addresses.contains(address) and workload != workload_of(holder)
            for holder, holding in self.model.holdings.items()
            for _, had in holding.addresses
            for address in each_of(had)
        )
        left = [address for hold in self.model.holds.values() for address in (*hold.left, *hold.taken)]
        foreign = foreign or any(map(addresses.contains, [*self.model.owned, *left]))
        if taken or foreign or self.model.in_vain(addresses, self.model.pools["plain"]):
            assert answer == ("refused", "reservation-conflicts")
        else:
            self.model.kept[answer[1]] = Kept(addresses, workload)

    @precondition(lambda self: self.model.kept)
    @rule(data=st.data())
    def give_a_reservation_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.kept)))
        self.every(lambda engine: engine.administration.delete_reservation(number))
        del self.model.kept[number]

    @invariant()
    def the_record_says_who_holds_what(self) -> None:
        listed = self.every(lambda engine: engine.queries.allocations(AllocationQuery(), None, 1000))
        expected = {
            (f"c{container}", address)
            for container, holding in self.model.holdings.items()
            for _, address in holding.addresses
        } | {(f"vm{owned.owner}", address) for address, owned in self.model.owned.items()}
        for name, hold in self.model.holds.items():
            expected |= {(f"hold:{name}", address) for address in hold.left}
        assert listed == ("rows", expected)

    @invariant()
    def quotas_count_what_is_held(self) -> None:
        for name, limit in self.model.limits.items():
            _, uses = self.every(lambda engine, name=name: uses_of(engine, name))
            expected = {
                (family, "" if limit.shared or of_machines else "default"): self.model.used(
                    limit, family, of_machines
                )
                for family in (4, 6)
                for of_machines in (False, True)
            }
            assert uses == {whose: used for whose, used in expected.items() if used}

    @invariant()
    def holds_have_all_that_is_not_taken(self) -> None:
        for name, hold in self.model.holds.items():
            kind, left, taken = self.every(lambda engine, name=name: engine.queries.use_of_hold(name))
            assert (kind, left, taken) == ("use", len(hold.left), len(hold.taken))

    @invariant()
    def usage_adds_up(self) -> None:
        """Of one pool at a time, and of all in the end: what does not add up stays so."""
        self.looks += 1
        self.adds_up(POOLS[self.looks % len(POOLS)])

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

    @precondition(lambda self: len(self.model.line) < LONGEST_LINE)
    @rule(name=st.sampled_from(WAITED_FOR), offset=st.integers(1, 6), comers=st.integers(1, 8))
    def wait_for_room(self, name: str, offset: int, comers: int) -> None:
        """Machines come until two more wait: in a sticky pool for a certain address, else for any."""
        self.come(name, self.model.pools[name].subnet[0] + offset, comers, len(self.model.line) + 2)

    @precondition(lambda self: not self.model.line and not self.model.holds)
    @rule(name=st.sampled_from(["tiny", "six"]), data=st.data())
    def wait_beside_a_hold(self, name: str, data: st.DataObject) -> None:
        """One machine has what is held, others wait, and one of them for both; then one or two give back."""
        self.hold("g", 1, name, "web-0", "default", 20)
        self.come(name, self.model.pools[name].subnet[0], 8, 5)
        if any(map(is_machine, self.model.holdings)):
            self.release_machines(data)

    def come(self, name: str, address: IPAddress, comers: int, longest: int) -> None:
        """So many machines come, unless so many wait."""
        for _ in range(comers):
            if len(self.model.line) < longest:
                self.begin_to_wait(name, address if name == "sticky" else None)
                self.serve_who_waits()

    def begin_to_wait(self, name: str, address: IPAddress | None) -> None:
        """One more waits."""
        number, self.waiters = self.waiters, self.waiters + 1
        request = AllocationRequest(
            holder=machine(number),
            pool_names=((name,),),
            requested=(address,) if address is not None else (),
            workload=Workload("default", workload_of(number)),
        )
        self.model.line.append(Waiter(number, name, address))
        self.waiting[number] = [self.run(began_to_wait(engine, request)) for engine in self.engines]

    @precondition(lambda self: self.model.line)
    @rule(data=st.data())
    def give_up_waiting(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([each.number for each in self.model.line]))
        for asked in self.waiting[number]:
            asked.gone.set_result(None)
        self.run(asyncio.sleep(A_TRY))
        assert self.answer_of(number) == ("refused", "unavailable")
        self.leave_the_line(number)

    @precondition(lambda self: any(map(is_machine, self.model.holdings)))
    @rule(data=st.data())
    def release_machines(self, data: st.DataObject) -> None:
        machines = sorted(filter(is_machine, self.model.holdings))
        for number in data.draw(st.lists(st.sampled_from(machines), min_size=1, max_size=2, unique=True)):
            answer = self.every(lambda engine, n=number: engine.submit(Release(digest=machine(n).digest)))
            assert answer == ("released", self.model.end(number))

    @invariant()
    def a_line_of_those_without_room(self) -> None:
        """Whoever can be served is served, in turn; the others wait, each in its place."""
        if self.model.line:
            self.serve_who_waits()

    def serve_who_waits(self) -> None:
        self.release_owners_who_were_away_for_long()  # each engine looks for them while time passes here
        goes_on = True
        while goes_on:
            self.run(asyncio.sleep(A_TRY))
            answered = [each for each in self.model.line if self.waiting[each.number][0].task.done()]
            for waiter in answered:
                self.serve(waiter)
            goes_on = bool(answered)
        for waiter in self.model.line:
            assert not self.model.can_be_served(waiter), waiter
        for engine in self.engines:
            line = [each.owner for each in self.run(engine.waiting.read())]
            assert line == [machine(each.number).name for each in self.model.line]

    def serve(self, waiter: Waiter) -> None:
        """What a waiter was told is what it may have, and nobody before it would have had it."""
        model, number = self.model, waiter.number
        answer = self.answer_of(number)
        before = model.line[: model.line.index(waiter)]
        self.leave_the_line(number)
        pool = model.pools[waiter.pool]
        if answer[0] == "refused":
            assert answer == ("refused", "address-unavailable")
            assert waiter.address is not None
            assert waiter.address not in model.usable(pool)
            return
        assert model.can_be_served(waiter), (waiter, answer)
        granted: list[Any] = answer[1]  # type: ignore[assignment]  # as `told` makes it
        [address] = granted
        hold = model.hold_with(number, address)
        assert not any(model.is_passed(other, address, hold) for other in before), (waiter, before)
        assert address == waiter.address or model.fits(number, [[waiter.pool]], [address])
        model.granted(number, [(waiter.pool, address)], (0, 0))

    def answer_of(self, number: int) -> Answer:
        """What each engine has told a waiter: the same."""
        answers = [self.run(told(outcome_of(asked))) for asked in self.waiting[number]]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def leave_the_line(self, number: int) -> None:
        self.model.line = [each for each in self.model.line if each.number != number]
        del self.waiting[number]

    def edit(self, name: str, **fields: Any) -> None:
        answer = self.every(
            lambda engine: engine.administration.edit_pool(name, lambda old: replace(old, **fields), None)
        )
        refused = self.model.edit(name, **fields)
        assert answer == ("refused", refused) if refused else answer[0] == "pool"

    def pool_of(self, had: Had) -> str:
        return next(name for name, pool in self.model.pools.items() if first_of(had) in pool.subnet)


def identity(container: int) -> Identity:
    return Identity("default", "pods", node_of(container), f"c{container}", "eth0")


def ask(
    container: int, pool_names: list[list[str]], issued: Issued, requested: tuple[IPAddress, ...] = ()
) -> AllocationRequest:
    return AllocationRequest(
        holder=identity(container),
        pool_names=tuple(map(tuple, pool_names)),
        requested=requested,
        workload=Workload("default", workload_of(container)),
        issued=issued,
    )


async def explained_then_asked(engine: Engine, request: AllocationRequest) -> Outcome:
    """Ask, and see that it gives what an explanation said just before, to the word."""
    explained = (await engine.explain(request)).outcome
    outcome = await engine.submit(request)
    if isinstance(outcome, Refused):
        assert isinstance(explained, Refused)
        assert (type(explained.error), str(explained.error)) == (type(outcome.error), str(outcome.error))
    else:
        assert explained == outcome
    return outcome


def machine(number: int) -> Owner:
    return Owner(f"c{number}", digest_of(str(number)))


async def began_to_wait(engine: Engine, request: AllocationRequest) -> Asked:
    gone = asyncio.get_running_loop().create_future()
    waiting = engine.waiting.allocate(lambda _: request, WAIT_SECONDS, gone)
    return Asked(gone, asyncio.create_task(waiting))


async def outcome_of(asked: Asked) -> Outcome:
    assert asked.task.done()
    return asked.task.result().outcome


def owner_named(owner: int) -> Owner:
    return owner_in("default", "default", f"vm{owner}")


def had_of(address: IPAddress, prefix_length: int | None) -> Had:
    return address if prefix_length is None else ip_network((address, prefix_length))


def name_of(row: Allocation) -> str:
    return row.holder.container_id if isinstance(row.holder, Identity) else row.holder.name


def release(
    container: int, issued: Issued, *, undo: bool = False, delivered: Issued | None = None
) -> Release:
    node = NodeKey("default", node_of(container))
    digest = identity(container).digest
    return Release(digest=digest, node=node, issued=issued, delivered=delivered, undo=undo)


async def contradictions(engine: Engine) -> list[Finding]:
    """What the check of everything finds."""
    portion = await engine.consistency.portion(None, None, repair=False)
    found = list(portion.findings)
    while portion.next is not None:
        portion = await engine.consistency.portion(portion.next, None, repair=False)
        found += portion.findings
    return found


async def uses_of(engine: Engine, quota: str) -> dict[tuple[int, str], int]:
    """How many addresses of each family a quota counts, by cluster."""
    return {(tally.family, tally.cluster): used for tally, used in await engine.queries.uses_of(quota, 9)}


async def told(work: Coroutine[Any, Any, Any]) -> Answer:
    """What an engine answered, as a value that two engines can be compared by."""
    try:
        answer: Outcome | Any = await work
    except DomainError as refusal:
        return "refused", refusal.code
    match answer:
        case Granted(grants, repeated):
            return "granted", [had_of(grant.address, grant.prefix_length) for grant in grants], repeated
        case Released(addresses):
            return "released", set(addresses)
        case Refused(error):
            return "refused", error.code
        case Pool():
            return "pool", answer
        case Reservation():
            return "reservation", answer.id
        case [IPv4Address() | IPv6Address(), *_]:
            return "addresses", set(answer)
        case Quota():
            return "quota", answer.name, answer.limit, answer.counting
        case HoldUse(left, taken):
            return "use", left, taken
        case Hold():
            return "hold", answer.name, answer.state
        case list() | tuple():
            return "rows", {(name_of(row), had_of(row.address, row.prefix_length)) for row in answer}
        case _:
            return "value", answer


# Four databases do all of it: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(900)

TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=22,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
