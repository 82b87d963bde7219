"""Random histories of leases as a whole: the plugin's store, the agent, ipamd, and a network that loses.

Nothing here is a model of leases: the runtimes of two nodes remember what they were told, and compare it with
what other containers have, and in the end with ipamd's tables. What each process does is what users run, at a
simulated time (`tests/simulation`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ipamd.engine.allocation.collection import Eviction
from ipamd.models.address import AddressRange
from ipamd.models.errors import NotFound
from ipamd.models.node import NodeKey
from ipamd.models.pool import PoolState
from tests.simulation.accounts import Accounts
from tests.simulation.machine import AT_THE_NETWORK, CLUSTER, Call, Machine, Snapshot
from tests.simulation.network import Fate
from tests.simulation.world import World

NODES: Final = 2
CONTAINERS: Final = 3
MOST_WRITES: Final = 8

nodes = st.integers(0, NODES - 1)
containers = st.integers(0, CONTAINERS - 1)
kills = st.one_of(st.none(), st.none(), st.integers(AT_THE_NETWORK, MOST_WRITES))


class LeasesAsAWhole(RuleBasedStateMachine):
    """Runtimes, admins, and whatever breaks."""

    on_postgres = False

    def __init__(self) -> None:
        super().__init__()
        self.started: list[tuple[Machine, Call, int]] = []
        self.snapshots: dict[int, Snapshot] = {}
        self.clones = 0

    @initialize(subnet=st.sampled_from(["10.0.0.0/28", "10.0.0.0/29"]), cooldown=st.sampled_from([0, 0, 3]))
    def begin(self, subnet: str, cooldown: int) -> None:
        self.world = World(NODES, subnet, cooldown=cooldown, on_postgres=self.on_postgres)
        self.accounts = Accounts(self.world)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.heal()
            self.accounts.compare()
            self.empty()
        finally:
            self.world.close()

    def machine(self, node: int) -> Machine:
        return self.world.machines[node]

    # Runtimes.

    @rule(node=nodes, container=containers, kill=kills)
    def add(self, node: int, container: int, kill: int | None) -> None:
        self.accounts.add(self.machine(node), f"c{container}", kill=kill)

    @rule(node=nodes, container=containers, kill=kills)
    def delete(self, node: int, container: int, kill: int | None) -> None:
        self.accounts.delete(self.machine(node), f"c{container}", kill=kill)

    @rule(node=nodes, count=st.integers(1, CONTAINERS))
    def pods_begin_and_are_reported(self, node: int, count: int) -> None:
        """What happens most, so that the rest meets it often."""
        for container in range(count):
            self.accounts.add(self.machine(node), f"c{container}")
        self.world.pass_time(12)

    @rule(node=nodes, container=containers)
    def an_old_plugin_adds(self, node: int, container: int) -> None:
        """A plugin that knows no store."""
        machine = self.machine(node)
        if (machine.identity, f"c{container}") not in self.world.living:
            self.accounts.add(machine, f"x{container}", knows_leases=False)

    @rule(node=nodes, container=containers)
    def an_old_plugin_deletes(self, node: int, container: int) -> None:
        self.accounts.delete(self.machine(node), f"c{container}", knows_leases=False)
        self.accounts.delete(self.machine(node), f"x{container}", knows_leases=False)

    @rule(node=nodes, container=containers)
    def check(self, node: int, container: int) -> None:
        self.accounts.check(self.machine(node), f"c{container}")

    @rule(node=nodes, container=containers)
    def an_add_falls_asleep(self, node: int, container: int) -> None:
        """A plugin that has read its clock, and does nothing for a while."""
        machine = self.machine(node)
        self.started.append((machine, machine.begin("ADD", f"c{container}"), self.world.now()))

    @rule(data=st.data())
    def an_add_wakes(self, data: st.DataObject) -> None:
        if self.started:
            machine, call, began = self.started.pop(data.draw(st.integers(0, len(self.started) - 1)))
            if call.issued.boot == machine.boot:  # else it is dead
                self.accounts.wake(machine, call, began)

    # What breaks.

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.0, 3.0, 11.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(node=nodes, fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=3))
    def the_network_loses(self, node: int, fates: list[Fate]) -> None:
        self.machine(node).link.fates.extend(fates)

    @rule(node=nodes, is_cut=st.booleans())
    def the_network_is_cut(self, node: int, is_cut: bool) -> None:
        self.machine(node).link.is_cut = is_cut

    @rule(kill=st.booleans())
    def ipamd_stops(self, kill: bool) -> None:
        self.world.run(self.world.service.stop(kill=kill))

    @rule()
    def ipamd_starts(self) -> None:
        self.world.run(self.world.service.start())

    @rule(node=nodes, is_back=st.booleans())
    def an_agent_is_killed(self, node: int, is_back: bool) -> None:
        self.machine(node).kill_agent()
        if is_back:
            self.machine(node).start_agent()

    @rule(node=nodes)
    def an_agent_starts(self, node: int) -> None:
        self.machine(node).start_agent()

    @rule(node=nodes, seconds=st.sampled_from([0.0, 1.5]))
    def the_power_is_cut(self, node: int, seconds: float) -> None:
        self.world.pass_time(seconds)
        self.accounts.power_cut(self.machine(node))

    @rule(node=nodes)
    def a_store_is_lost(self, node: int) -> None:
        self.accounts.lose_store(self.machine(node))

    @rule(node=nodes)
    def a_snapshot_is_taken(self, node: int) -> None:
        """Of a virtual machine, with its memory."""
        self.snapshots[node] = self.machine(node).take_snapshot()

    @rule(node=nodes)
    def a_snapshot_is_put_back(self, node: int) -> None:
        """While ipamd is there: until it hears of the machine, this may give an address that is another's."""
        if node in self.snapshots:
            self.world.run(self.world.service.start())
            self.machine(node).link.is_cut = False
            self.machine(node).link.fates.clear()
            self.accounts.put_back(self.machine(node), self.snapshots.pop(node))

    @rule(
        node=nodes,
        seconds=st.sampled_from([1.0, 12.0, 40.0]),
        adds=st.lists(st.tuples(st.booleans(), containers), max_size=4),
    )
    def a_disk_is_cloned(self, node: int, seconds: float, adds: list[tuple[bool, int]]) -> None:
        """Two machines think for a while that they are the same node."""
        machine = self.machine(node)
        self.clones += 1
        clone = self.world.add_machine(machine.name, f"clone-{self.clones}", disk_of=machine)
        self.world.pass_time(seconds)
        for is_of_the_clone, container in adds:
            who = f"k{self.clones}-{container}" if is_of_the_clone else f"c{container}"
            self.accounts.add(clone if is_of_the_clone else machine, who)
            self.world.pass_time(1)
        self.world.run(self.world.service.start())
        self.accounts.remove(clone)
        if self.world.machine_with_lease(machine.name) == clone.identity:  # nobody else could give it back
            self.a_node_is_off_and_released(node, for_good=False)

    # Admins.

    @rule(node=nodes, container=containers)
    def an_admin_releases_a_container(self, node: int, container: int) -> None:
        if self.world.service.engine is not None:
            self.accounts.release(self.machine(node), f"c{container}")

    @rule(node=nodes)
    def recall(self, node: int) -> None:
        if self.world.service.engine is not None:
            key = NodeKey(CLUSTER, self.machine(node).name)
            self.world.admin(lambda engine: engine.leases.recall(key))

    @rule(is_open=st.booleans())
    def drain_or_open(self, is_open: bool) -> None:
        self.edit(state=PoolState.ACTIVE if is_open else PoolState.DRAINING)

    @rule(offset=st.integers(2, 6), excluded=st.booleans())
    def exclude(self, offset: int, excluded: bool) -> None:
        address = ip_address("10.0.0.0") + offset
        held = {address for have in self.world.held().values() for address in have} if self.is_up else set()
        if str(address) not in held:
            self.edit(exclusions=(AddressRange(address, address),) if excluded else ())

    @rule(lease=st.sampled_from([0, 64]))
    def lease_nothing_of_the_pool(self, lease: int) -> None:
        self.edit(lease=lease)

    @rule(node=nodes, draining=st.booleans())
    def a_node_drains_or_not(self, node: int, draining: bool) -> None:
        if self.is_up:
            self.drain(self.machine(node), draining=draining)

    def drain(self, machine: Machine, *, draining: bool) -> None:
        key = NodeKey(CLUSTER, machine.name)
        with suppress(NotFound):
            self.world.admin(lambda engine: engine.removal.drain(key, draining=draining))

    @rule(node=nodes, for_good=st.booleans())
    def a_node_is_off_and_released(self, node: int, for_good: bool) -> None:
        if not self.is_up:
            return
        machine = self.machine(node)
        self.accounts.power_cut(machine)
        machine.kill_agent()
        eviction = Eviction(node=NodeKey(CLUSTER, machine.name), reason="off", by="ann")
        self.accounts.evict(eviction, for_good=for_good)

    # The end.

    def heal(self) -> None:
        """All that broke is mended, and everybody has time to hear of it."""
        world = self.world
        world.run(world.service.start())
        for machine in world.machines:
            machine.link.is_cut = False
            machine.link.fates.clear()
            machine.start_agent()
            self.drain(machine, draining=False)
        self.edit(state=PoolState.ACTIVE, exclusions=(), lease=64)
        self.accounts.settle()

    def empty(self) -> None:
        """All containers end, and the pool leases nothing: all addresses are free."""
        self.accounts.end_all()
        self.edit(lease=0)
        self.world.pass_time(90)
        self.accounts.expect_nothing()

    @property
    def is_up(self) -> bool:
        return self.world.service.engine is not None

    def edit(self, **fields: Any) -> None:
        if self.is_up:
            self.world.admin(
                lambda engine: engine.administration.edit_pool(
                    "pods", lambda old: replace(old, **fields), None
                )
            )


pytestmark = pytest.mark.timeout(300)


class LeasesOnPostgres(LeasesAsAWhole):
    """The same, with a real PostgreSQL."""

    on_postgres = True


def times(examples: int) -> settings:
    """So many histories, more in a campaign."""
    return settings(
        max_examples=examples * int(os.environ.get("CAMPAIGN", "1")),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestLeasesAsAWhole = LeasesAsAWhole.TestCase
TestLeasesAsAWhole.settings = times(10)

TestLeasesOnPostgres = pytest.mark.faults(LeasesOnPostgres.TestCase)
TestLeasesOnPostgres.settings = times(4)
