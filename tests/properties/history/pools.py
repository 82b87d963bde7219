"""Pools in a history, as admins change them."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from ipamd.models.address import AddressRange
from ipamd.models.pool import PoolState
from tests.properties.history.asking import POOLS
from tests.properties.history.machine import Machine


class PoolRules(Machine):
    """Pools are edited, and their usage adds up."""

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

    @rule()
    def grow(self) -> None:
        self.edit("tiny", subnet=ip_network("10.0.0.0/29"))

    @invariant()
    def usage_adds_up(self) -> None:
        """Of one pool at a time, and of all in the end: what does not add up stays so."""
        self.looks += 1
        self.adds_up(POOLS[self.looks % len(POOLS)])
