"""Holds in a history."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ipamd.models.hold import Hold, HoldState
from ipamd.models.instant import SECOND
from ipamd.models.pool import PoolState
from ipamd.models.query import AllocationQuery
from tests.properties.history.asking import POOLS
from tests.properties.history.machine import Machine
from tests.properties.history.values import Held


class HoldRules(Machine):
    """Addresses are kept for workloads which are still to come."""

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

    @invariant()
    def holds_have_all_that_is_not_taken(self) -> None:
        for name, hold in self.model.holds.items():
            kind, left, taken = self.every(lambda engine, name=name: engine.queries.use_of_hold(name))
            assert (kind, left, taken) == ("use", len(hold.left), len(hold.taken))
