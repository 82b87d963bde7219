"""Prefixes in a history."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec import structs

from ipamd.models.pool import Affinity, PoolState
from ipamd.models.request import PrefixRequest
from tests.properties.history.asking import CONTAINERS, LATE, POOLS, SLOTS, ask, explained_then_asked
from tests.properties.history.machine import Machine
from tests.properties.history.values import Answer, Had, Moment, node_of, workload_of

NOT_HAD = ["address-taken", "address-unavailable"]


class PrefixRules(Machine):
    """Containers get prefixes, alone or beside addresses."""

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
