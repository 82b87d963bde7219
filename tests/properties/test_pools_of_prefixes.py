"""A pool of prefixes does what a pool of addresses does, prefix for address, whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipamd.backends.registry import open_backend
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange
from ipamd.models.errors import DomainError
from ipamd.models.identity import Owner, digest_of
from ipamd.models.instant import SECOND
from ipamd.models.outcome import Granted, Outcome, Refused
from ipamd.models.pool import Affinity, Pool
from ipamd.models.request import AllocationRequest, PrefixRequest, Release
from ipamd.models.reservation import Reservation
from tests.backends.suite import IN_MEMORY

T = TypeVar("T")

NUMBERS = 32
PLACES = st.integers(0, NUMBERS - 1)
BITS = st.integers(0, 3)
"""How many neighbours: 2 to the power of this, more than a block has among them."""


def alike(name: str, subnet: str, length: int, **fields: Any) -> Pool:
    """A pool of 32 addresses, or prefixes, in blocks of four."""
    network = ip_network(subnet)
    given = length if length < network.max_prefixlen else None
    return Pool(name=name, subnet=network, block_length=length - 2, prefix_length=given, cooldown=3, **fields)


@dataclass
class Pair:
    """A pool of addresses and one of prefixes, and who has something of both: by numbers."""

    addresses: Pool
    prefixes: Pool
    held: list[Owner] = field(default_factory=list)

    def request(self, pool: Pool, holder: Owner, bits: int, number: int | None) -> AllocationRequest:
        """Ask a pool for so many neighbours, at a number if one is given."""
        first = None if number is None else pool.address_of(pool.first_number + number)
        if bits == 0 and pool.prefix_length is None:
            requested = () if first is None else (first,)
            return AllocationRequest(holder=holder, pool_names=((pool.name,),), requested=requested)
        wanted = PrefixRequest(pool.given_length - bits, (pool.name,), first, alone=True)
        return AllocationRequest(holder=holder, pool_names=((pool.name,),), prefix=wanted)


class Mirrored(RuleBasedStateMachine):
    """Asks both pools for the same, and compares by numbers."""

    @initialize(affinity=st.sampled_from(Affinity))
    def open(self, affinity: Affinity) -> None:
        self.loop = uvloop.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
        self.now, self.count = 1_000 * SECOND, 0
        backend = self.run(open_backend(f"sqlite:///{Path(self.folder.name) / 'ipamd.sqlite'}"))
        clock = Clock(lambda: self.now, lambda: self.now)
        self.engine = self.run(Engine.open(backend, clock=clock))
        self.pair = Pair(
            alike("addresses", "fd00::/123", 128, affinity=affinity),
            alike("prefixes", "fd01::/59", 64, affinity=affinity),
        )
        for pool in (self.pair.addresses, self.pair.prefixes):
            # Of a subnet the first address is the routers' own, so there the first prefix is excluded.
            first = (pool.addresses_of(pool.first_number, pool.first_number),)
            made = pool if pool.prefix_length is None else replace(pool, exclusions=first)
            self.run(self.engine.administration.create_pool(made))

    def teardown(self) -> None:
        found = self.run(self.engine.consistency.portion(None, None, repair=False)).findings
        self.run(self.engine.close())
        self.loop.close()
        self.folder.cleanup()
        assert not found, found

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def both(self, ask: Callable[[Pool], Coroutine[Any, Any, Any]]) -> Any:
        """Ask for both pools; they answer the same."""
        answers = [self.run(self.told(pool, ask(pool))) for pool in (self.pair.addresses, self.pair.prefixes)]
        assert answers[0] == answers[1], answers
        return answers[0]

    async def told(self, pool: Pool, work: Coroutine[Any, Any, Any]) -> object:
        try:
            answer: Outcome | Any = await work
        except DomainError as error:
            return error.code
        if isinstance(answer, Granted):
            [grant] = answer.grants
            count = pool.count_of(grant.prefix_length)
            return pool.number_of(grant.address) - pool.first_number, count
        return answer.error.code if isinstance(answer, Refused) else None

    @rule(bits=BITS, number=st.one_of(st.none(), PLACES))
    def take(self, bits: int, number: int | None) -> None:
        self.count += 1
        name = f"vm-{self.count}"

        def ask(pool: Pool) -> Coroutine[Any, Any, Outcome]:
            holder = Owner(name, digest_of(name, pool.name))
            return self.engine.submit(self.pair.request(pool, holder, bits, number))

        if isinstance(self.both(ask), tuple):
            self.pair.held.append(Owner(name, b""))

    @precondition(lambda self: self.pair.held)
    @rule(which=st.integers(0, 40))
    def release(self, which: int) -> None:
        name = self.pair.held.pop(which % len(self.pair.held)).name
        self.both(lambda pool: self.engine.submit(Release(digest=digest_of(name, pool.name))))

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(number=PLACES, bits=BITS)
    def reserve(self, number: int, bits: int) -> None:
        """Some neighbours for nobody who asks here; in the pool of prefixes a single address does it."""
        first = number & -(1 << bits)

        def ask(pool: Pool) -> Coroutine[Any, Any, Reservation]:
            begin = pool.first_number + first
            whole = pool.addresses_of(begin, begin + (1 << bits) - 1)
            kept = whole if bits else AddressRange(whole.last, whole.last)
            wanted = Reservation(id=0, space="default", addresses=kept, owner="nobody")
            return self.engine.administration.create_reservation(wanted)

        self.both(ask)

    @invariant()
    def is_as_full(self) -> None:
        if not hasattr(self, "pair"):
            return
        one, other = (
            self.run(self.engine.queries.usage(pool.name))
            for pool in (self.pair.addresses, self.pair.prefixes)
        )
        assert replace(one, prefixes={}) == replace(other, prefixes={})
        shorter = {128 - length: count for length, count in one.prefixes.items()}
        assert shorter == {64 - length: count for length, count in other.prefixes.items() if length < 64}


TestMirrored = Mirrored.TestCase
TestMirrored.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
