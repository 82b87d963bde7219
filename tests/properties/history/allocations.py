"""ADD in a history: any address, or a certain one."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from ipamd.models.pool import PoolState
from ipamd.models.query import AllocationQuery
from tests.properties.history.asking import CONTAINERS, LATE, POOLS, SLOTS, ask, explained_then_asked
from tests.properties.history.machine import Machine
from tests.properties.history.values import node_of, workload_of


class AllocationRules(Machine):
    """Containers get addresses."""

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
