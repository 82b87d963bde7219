"""Orders of events between plugin, agent, ipamd, reboots and admins, each at its very moment.

Time and network are simulated (`tests/simulation`). After each order all is mended, and what runtimes were
told is compared with the tables and the history; then all containers end, and every address is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ipam_plugin.leases import layout
from ipamd.engine.allocation.collection import Eviction
from ipamd.engine.engine import Engine
from ipamd.engine.leasing.conversation import LeaseUse
from ipamd.models.address import AddressRange
from ipamd.models.errors import NodeMayGive
from ipamd.models.identity import Identity
from ipamd.models.node import NodeKey
from ipamd.models.pool import PoolState
from tests.simulation.accounts import Accounts
from tests.simulation.machine import CLUSTER, Machine
from tests.simulation.network import Fate
from tests.simulation.world import World

LATE = 20
"""Seconds after which a node gives from its lease."""


class Played:
    """Two nodes that give from their leases."""

    def __init__(self, *, cooldown: int = 0) -> None:
        self.world = World(2, cooldown=cooldown)
        self.accounts = Accounts(self.world)
        for machine in self.world.machines:
            self.accounts.add(machine, "first")
        self.world.pass_time(LATE)

    @property
    def node(self) -> Machine:
        return self.world.machines[0]

    @property
    def other(self) -> Machine:
        return self.world.machines[1]

    def edit(self, **fields: Any) -> None:
        """Change the pool."""
        self.world.admin(
            lambda engine: engine.administration.edit_pool("pods", lambda old: replace(old, **fields), None)
        )

    def lease(self) -> LeaseUse:
        """The first node's lease, as ipamd knows it."""

        async def standing(engine: Engine) -> LeaseUse:
            [lease] = await engine.lease_uses.of_nodes(CLUSTER, self.node.name, None)
            return await engine.lease_uses.use_of(lease)

        return self.world.admin(standing)

    def add(self, container: str, *, machine: Machine | None = None) -> str:
        """A container that has its address from the store."""
        machine = machine or self.node
        before = len(machine.store.events())
        ended = self.accounts.add(machine, container)
        assert ended.code == 0
        assert len(machine.store.events()) == before + 1
        return ended.addresses[0]

    def tell(self, seconds: float = 2) -> None:
        """Let agents tell ipamd."""
        self.world.pass_time(seconds)

    def holders(self, address: str) -> list[str]:
        """Which containers had an address, in their order."""
        return [
            row.holder.container_id
            for row in self.world.history()
            if str(row.address) == address and isinstance(row.holder, Identity)
        ]

    def release_node(self, machine: Machine, *, even_if_alive: bool) -> None:
        eviction = Eviction(node=NodeKey(CLUSTER, machine.name), reason="it is off", by="ann")
        self.world.admin(lambda engine: engine.removal.release(eviction, even_if_alive=even_if_alive))

    def free(self, machine: Machine) -> set[int]:
        """The numbers of the free seats of a node's store."""
        return {number for number, state in machine.store.states().items() if state == layout.FREE}

    def mend_and_compare(self) -> None:
        """What holds after every order."""
        self.world.run(self.world.service.start())
        for machine in self.world.machines:
            machine.link.is_cut = False
            machine.link.fates.clear()
            machine.start_agent()
        self.accounts.settle()
        self.accounts.compare()
        self.accounts.end_all()
        self.edit(lease=0)
        self.world.pass_time(90)
        self.accounts.expect_nothing()


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Nodes whose addresses cool down for so many seconds as a test asks for."""
    made = Played(cooldown=getattr(request, "param", 0))
    try:
        yield made
        made.mend_and_compare()
    finally:
        made.world.close()


def test_a_node_that_booted_and_is_asked_for_nothing_gives_back_what_it_had(played: Played) -> None:
    had = played.world.leased()
    assert had > 0

    played.accounts.power_cut(played.node)
    played.accounts.power_cut(played.other)
    played.world.pass_time(5)
    played.edit(lease=0)
    played.world.pass_time(60)

    assert played.world.leased() == 0
    played.edit(lease=64)


def test_an_address_that_a_node_holds_in_advance_is_excluded_and_given_back(played: Played) -> None:
    [address, *_] = [row.address for row in played.world.rows() if row.is_free_seat]
    played.node.link.is_cut = played.other.link.is_cut = True

    played.edit(exclusions=(AddressRange(address, address),))
    played.node.link.is_cut = played.other.link.is_cut = False
    played.world.pass_time(60)

    assert ip_address(address) not in {row.address for row in played.world.rows()}


def test_a_configuration_that_changed_between_add_and_del(played: Played) -> None:
    address = played.add("c")
    changed = played.node.config(routes=[{"dst": "10.9.0.0/16"}])

    played.world.ends(played.node, "c")
    assert played.node.finish(played.node.begin("DEL", "c", changed)).code == 0

    played.tell()
    assert played.holders(address) == ["c"]
    assert ("n0", "c") not in played.world.held()


def test_a_del_that_reaches_ipamd_before_the_report_of_its_taking(played: Played) -> None:
    played.node.kill_agent()
    address = played.add("c")

    played.accounts.delete(played.node, "c", knows_leases=False)
    played.node.start_agent()
    played.tell(12)

    assert played.holders(address) == ["c"]
    assert ("n0", "c") not in played.world.held()
    assert layout.HELD not in played.node.store.states().values()


def test_an_admin_ends_a_leased_row_whose_container_then_sends_del(played: Played) -> None:
    address = played.add("c")
    played.tell()
    played.node.kill_agent()

    played.accounts.release(played.node, "c")
    played.accounts.delete(played.node, "c")
    played.node.start_agent()
    played.tell()

    assert played.holders(address) == ["c"]
    assert played.accounts.add(played.node, "d").addresses


def test_a_row_that_an_admin_ends_ends_on_the_node_and_is_given_again(played: Played) -> None:
    played.add("c")
    played.tell()

    played.accounts.release(played.node, "c")
    played.tell(12)

    assert layout.HELD not in played.node.store.states().values()


def test_a_local_del_that_is_not_reported_and_an_add_of_the_same_id_at_ipamd(played: Played) -> None:
    played.add("c")
    played.tell()
    played.node.kill_agent()

    played.accounts.delete(played.node, "c")
    played.world.pass_time(1)
    for number in range(len(played.free(played.node))):
        played.add(f"other-{number}")
    given = played.accounts.add(played.node, "c")

    assert given.code == 0
    played.node.start_agent()
    played.tell()
    assert played.world.held()["n0", "c"] == set(given.addresses)


def test_a_spooled_del_that_is_delivered_after_the_same_id_was_served_from_the_store(played: Played) -> None:
    played.node.link.is_cut = True
    played.accounts.delete(played.node, "c", knows_leases=False)
    assert played.node.waiting() == 1

    address = played.add("c")
    played.node.link.is_cut = False
    played.node.call("CHECK", "nobody")

    assert played.node.waiting() == 0
    played.tell()
    assert played.world.held()["n0", "c"] == {address}


@pytest.mark.parametrize("has_store", [True, False])
def test_a_spooled_del_that_is_delivered_after_the_same_id_was_served_by_ipamd(
    played: Played, has_store: bool
) -> None:
    """Else a repeat of that ADD would get another address, out of the store."""
    if not has_store:
        played.accounts.power_cut(played.node)
    played.node.link.is_cut = True
    played.accounts.delete(played.node, "c", knows_leases=False)
    played.node.link.is_cut = False
    played.edit(lease=0)
    played.world.pass_time(1)

    address = played.accounts.add(played.node, "c").addresses  # and the spool is delivered
    assert played.node.waiting() == 0
    played.edit(lease=64)
    played.world.pass_time(90)

    assert played.free(played.node)
    assert played.accounts.add(played.node, "c").addresses == address


def test_a_del_of_before_this_boot_that_is_delivered_after_the_same_id_was_served(played: Played) -> None:
    played.node.link.is_cut = True
    played.accounts.delete(played.node, "c", knows_leases=False)
    played.accounts.power_cut(played.node)
    played.node.link.is_cut = False
    played.accounts.add(played.node, "first")
    assert played.node.waiting() == 0  # delivered by that call
    played.world.pass_time(LATE)

    address = played.add("c")
    played.tell()

    assert played.world.held()["n0", "c"] == {address}


def test_an_identity_that_has_a_row_already_when_its_begin_is_reported(played: Played) -> None:
    own = played.accounts.add(played.node, "c", knows_leases=False).addresses
    played.world.ends(played.node, "c")  # its runtime has forgotten that answer

    address = played.add("c")
    played.tell()

    assert played.world.held()["n0", "c"] == {address, *own}
    played.accounts.delete(played.node, "c", knows_leases=False)
    played.accounts.delete(played.node, "c")


def test_a_grant_whose_answer_is_lost_is_told_again(played: Played) -> None:
    for number in range(3):
        played.add(f"c{number}")
    played.node.link.fates.extend([Fate.UNANSWERED] * 3)

    played.world.pass_time(60)

    seats = played.node.store.states()
    assert len(seats) == played.lease().seats
    assert played.free(played.node)


def test_two_agents_in_a_rolling_update(played: Played) -> None:
    played.node.start_another_agent()
    given = {name: played.add(name) for name in ("c0", "c1")}
    played.tell()

    played.node.kill_oldest_agent()
    given["c2"] = played.add("c2")
    played.tell()

    held = played.world.held()
    assert {name: held["n0", name] for name in given} == {name: {each} for name, each in given.items()}


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNANSWERED, Fate.LATE, Fate.TWICE_LATE])
def test_a_power_cut_right_after_a_return_was_said(played: Played, fate: Fate) -> None:
    key = NodeKey(CLUSTER, played.node.name)
    played.world.admin(lambda engine: engine.leases.recall(key))
    played.node.link.fates.extend([None, fate])

    played.world.until(lambda: not played.node.link.fates, step=0.1)
    played.accounts.power_cut(played.node)
    played.world.pass_time(60)

    assert played.lease().seats == len(played.node.store.states())


@pytest.mark.parametrize("is_ipamd_there", [True, False])
def test_a_cloned_disk(played: Played, is_ipamd_there: bool) -> None:
    address = played.add("c")
    if not is_ipamd_there:
        played.world.run(played.world.service.stop())

    clone = played.world.add_machine("n0", "clone", disk_of=played.node)
    played.world.pass_time(40)
    given = played.accounts.add(clone, "of-the-clone")

    assert given.code == (0 if is_ipamd_there else 11)
    assert played.add("d") not in (address, *given.addresses)
    played.world.run(played.world.service.start())
    played.world.pass_time(60)
    assert played.lease().machine == played.node.identity
    played.accounts.retire(clone)


def test_a_cloned_disk_gets_the_lease_when_the_other_machine_is_released(played: Played) -> None:
    clone = played.world.add_machine("n0", "clone", disk_of=played.node)
    played.accounts.add(clone, "of-the-clone")
    played.accounts.power_cut(played.node)
    played.node.kill_agent()
    played.world.pass_time(60)

    played.release_node(played.node, even_if_alive=True)
    played.world.ends(clone, "of-the-clone")  # it was the node's too
    played.world.pass_time(60)
    played.accounts.add(clone, "d")
    played.world.pass_time(30)

    assert played.lease().machine == clone.identity
    played.accounts.retire(clone)


@pytest.mark.parametrize("is_ipamd_there", [True, False])
def test_a_machine_that_sleeps_for_thirty_hours(played: Played, is_ipamd_there: bool) -> None:
    address = played.add("c")
    played.tell()
    played.node.kill_agent()
    if not is_ipamd_there:
        played.world.run(played.world.service.stop())

    played.world.time.advance(30 * 3600)
    late = played.accounts.add(played.node, "d")
    played.node.start_agent()
    played.world.pass_time(5)

    assert late.code == (0 if is_ipamd_there else 11)
    assert len(played.node.store.events()) == 0  # it gave nothing from its lease
    played.world.run(played.world.service.start())
    played.world.pass_time(60)
    assert played.world.held()["n0", "c"] == {address}
    assert played.add("e")


@pytest.mark.parametrize("is_ipamd_there", [True, False])
def test_a_virtual_machine_that_is_put_back_with_its_memory(played: Played, is_ipamd_there: bool) -> None:
    snapshot = played.node.take_snapshot()
    given = [played.add(name) for name in ("c0", "c1")]
    played.tell()
    if not is_ipamd_there:
        played.world.run(played.world.service.stop())

    for name in ("c0", "c1"):
        played.world.ends(played.node, name)
    played.accounts.forget(played.node)
    played.node.put_back(snapshot)
    played.world.pass_time(12)
    played.world.run(played.world.service.start())
    played.world.pass_time(60)
    after = [played.accounts.add(played.node, name).addresses[0] for name in ("d0", "d1")]
    played.tell()

    assert not set(given) & set(after)  # ipamd does not know that nobody has them
    held = played.world.held()
    assert [held["n0", name] for name in ("d0", "d1")] == [{each} for each in after]
    for name in ("c0", "c1"):
        played.accounts.delete(played.node, name)


def test_a_report_of_a_former_store_that_comes_again_much_later(played: Played) -> None:
    played.accounts.power_cut(played.node)
    played.accounts.add(played.node, "first")
    played.world.pass_time(LATE)  # its store has reported nothing
    played.node.link.fates.extend([Fate.TWICE_MUCH_LATER] * 4)
    address = played.add("c")
    played.tell(1)
    played.accounts.delete(played.node, "c")
    played.tell()

    played.accounts.power_cut(played.node)
    played.accounts.add(played.node, "first")
    played.world.pass_time(60)

    assert played.lease().seats > 0
    assert played.holders(address).count("c") == 1


@pytest.mark.parametrize(("seconds", "timeout"), [(2, 5), (300, 600)])
def test_an_orphan_add_that_wakes_long_after_its_del(played: Played, seconds: int, timeout: int) -> None:
    orphan = played.node.begin("ADD", "c", played.node.config(timeout=timeout))
    played.accounts.delete(played.node, "c")
    played.world.pass_time(seconds)

    assert played.node.finish(orphan).code == 104
    played.tell()
    assert ("n0", "c") not in played.world.held()


def test_a_plugin_that_knows_no_stores_between_two_that_do(played: Played) -> None:
    address = played.add("c")
    played.tell()

    assert played.accounts.add(played.node, "c", knows_leases=False).code == 11
    assert played.accounts.add(played.node, "c").addresses == (address,)
    played.accounts.delete(played.node, "c", knows_leases=False)
    played.tell(12)

    assert layout.HELD not in played.node.store.states().values()
    assert set(played.holders(address)) == {"c"}


def test_a_node_is_released_beside_a_report(played: Played) -> None:
    played.node.kill_agent()
    for name in ("c0", "c1"):
        played.add(name)
    played.node.link.fates.extend([Fate.LATE] * 2)
    played.node.start_agent()
    played.world.pass_time(1)
    assert played.node.unreported()

    played.accounts.power_cut(played.node)
    played.release_node(played.node, even_if_alive=True)
    played.world.pass_time(60)

    assert not any(node == "n0" for node, _ in played.world.held())


def test_a_node_that_may_give_is_released_only_by_force_or_when_its_time_is_over(played: Played) -> None:
    played.accounts.power_cut(played.node)
    played.node.kill_agent()
    played.world.pass_time(60)
    played.world.time.advance(3 * 3600)

    with pytest.raises(NodeMayGive):
        played.release_node(played.node, even_if_alive=False)
    played.world.time.advance(25 * 3600)
    played.release_node(played.node, even_if_alive=False)

    assert played.lease().seats == 0


@pytest.mark.parametrize(
    "change",
    [
        {"state": PoolState.DRAINING},
        {"lease": 0},
        {"exclusions": (AddressRange(ip_address("10.0.0.1"), ip_address("10.0.0.8")),)},
    ],
    ids=["draining", "lease: 0", "exclusions"],
)
def test_a_pool_that_changes_while_nodes_are_away(played: Played, change: dict[str, Any]) -> None:
    for machine in played.world.machines:
        played.accounts.delete(machine, "first")
    played.tell()
    for machine in played.world.machines:
        machine.link.is_cut = True

    played.edit(**change)
    given = played.add("c")  # the node does not know yet
    for machine in played.world.machines:
        machine.link.is_cut = False
    played.world.pass_time(60)

    assert played.world.held() == {("n0", "c"): {given}}
    touched = {row.address for row in played.world.rows() if row.is_free_seat}
    if "exclusions" in change:
        touched = {address for address in touched if change["exclusions"][0].contains(address)}
    assert not touched
    played.accounts.delete(played.node, "c")
    played.edit(state=PoolState.ACTIVE, exclusions=(), lease=64)


def test_a_recall_from_a_node_whose_agent_is_stopped(played: Played) -> None:
    played.node.kill_agent()
    key = NodeKey(CLUSTER, played.node.name)
    before = set(played.node.store.states())

    assert played.world.admin(lambda engine: engine.leases.recall(key)) == len(before)
    played.world.pass_time(60)
    assert set(played.node.store.states()) == before
    played.node.start_agent()
    played.world.pass_time(30)

    assert not before & set(played.node.store.states())


@pytest.mark.parametrize("are_told", [True, False])
def test_a_database_that_is_put_back_behind_a_node(played: Played, are_told: bool) -> None:
    """What the older database lacks runs on: its address is not leased by this node again."""
    played.world.service.back_up()
    address = played.add("c")
    if are_told:
        played.tell()

    assert played.world.run(played.world.service.put_back())
    played.world.pass_time(90)
    others = [played.accounts.add(played.node, f"d{number}") for number in range(3)]

    assert all(address not in each.addresses for each in others)
    assert played.world.contradictions() == []
    played.accounts.forget(played.node)


@pytest.mark.parametrize("is_asked_later", [False, True])
def test_a_database_that_is_put_back_hears_again_what_was_taken_and_told(
    played: Played, is_asked_later: bool
) -> None:
    """The seat is free there, and its container's begin was acknowledged before."""
    played.world.service.back_up()
    address = played.add("c")
    played.tell()
    if is_asked_later:  # then it has a grant of which that database knows nothing
        played.world.pass_time(60)

    assert played.world.run(played.world.service.put_back())
    played.world.pass_time(60)

    assert played.world.held()["n0", "c"] == {address}
    assert not played.node.unreported()


def test_a_lost_store_had_given_what_nobody_was_told_of(played: Played) -> None:
    played.node.kill_agent()
    given = {played.add("c0"), played.add("c1")}

    played.accounts.lose_store(played.node)
    played.node.start_agent()
    played.world.pass_time(60)
    others = {played.accounts.add(played.node, f"d{number}").addresses for number in range(4)}

    assert played.free(played.node) or len(others) == 4
    assert not given & {address for each in others for address in each}


@pytest.mark.parametrize("played", [30], indirect=True)
def test_an_address_cools_down_in_the_store_too(played: Played) -> None:
    address = played.add("c")
    played.accounts.delete(played.node, "c")

    for number in range(6):
        given = played.accounts.add(played.node, f"d{number}")
        assert address not in given.addresses
    played.world.pass_time(40)


def test_a_seat_is_recalled_before_what_it_was_used_for_is_reported(played: Played) -> None:
    played.node.kill_agent()
    address = played.add("c")
    played.accounts.delete(played.node, "c")
    key = NodeKey(CLUSTER, played.node.name)
    played.world.admin(lambda engine: engine.leases.recall(key))

    played.node.link.fates.extend([None, Fate.LOST])  # the asking is answered, the report is lost
    played.node.start_agent()
    played.world.pass_time(30)

    assert played.holders(address) == ["c"]
