"""The order of a node's calls over reboots, and whatever its wall clock says."""

import time
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.cni.executable import finish
from tests.faults.clients import OVERTAKEN
from tests.faults.machine import Machine, address_of
from tests.faults.proxy import Proxy
from tests.service import IpamdProcess

LONG_AGO = 5  # seconds after 1970: a node without a clock of its own, before it has heard of the time
HOUR = 3600


def test_the_plugin_is_made_to_believe_in_a_reboot(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """What the tests below stand on: another boot, and a time since boot that begins again."""
    machine.add("c1")
    machine.reboot()
    proxy.lose("del")
    machine.delete("c1")

    issued = machine.plugin.waiting()[0]["request"]["issued"]
    assert issued["boot"] != Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert issued["uptime_ns"] < time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_a_del_after_a_reboot_frees_what_was_taken_before(ipamd: IpamdProcess, machine: Machine) -> None:
    address_of(machine.add("c1"))
    machine.reboot()

    assert machine.delete("c1").code == 0

    assert ipamd.addresses() == set()


def test_a_release_spooled_before_a_reboot_is_delivered_after_it(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    address_of(machine.add("c1"))
    proxy.lose("del")
    assert machine.delete("c1").code == 0
    machine.reboot()
    proxy.let_through("del")

    second = address_of(machine.add("c2"))

    assert machine.plugin.waiting() == []
    assert ipamd.addresses() == {second}


def test_a_release_spooled_before_a_reboot_frees_nothing_that_was_added_after_it(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    first = address_of(machine.add("c1"))
    proxy.lose("del")
    assert machine.delete("c1").code == 0
    machine.reboot()
    proxy.let_through("del")

    assert address_of(machine.add("c1")) == first  # which delivers the release, too

    assert machine.plugin.waiting() == []
    assert ipamd.addresses() == {first}


def test_a_release_of_a_boot_that_nobody_heard_of_frees_nothing_that_was_added_after_it(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """The node was up without the service, and again: of the boot in between only the spool tells."""
    first = address_of(machine.add("c1"))
    machine.reboot()
    proxy.lose("del")
    assert machine.delete("c1").code == 0
    machine.reboot()
    proxy.hold("del")
    assert address_of(machine.add("c1")) == first

    assert proxy.await_held("del").let_through() == HTTPStatus.NO_CONTENT

    assert ipamd.addresses() == {first}


def test_a_release_of_a_boot_that_nobody_heard_of_frees_what_was_added_before_it(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    address_of(machine.add("c1"))
    machine.reboot()
    proxy.lose("del")
    assert machine.delete("c1").code == 0
    machine.reboot()
    proxy.let_through("del")

    second = address_of(machine.add("c2"))

    assert machine.plugin.waiting() == []
    assert ipamd.addresses() == {second}


def test_a_release_spooled_before_a_reboot_frees_nothing_though_its_boot_was_heard_of_late(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """A call of the first boot, held up until after the second was known, makes the first look the later."""
    proxy.hold("add")
    proxy.lose("del")
    with machine.adding("c0") as add:
        held = proxy.await_held("add")
        add.kill()
    assert machine.delete("c1").code == 0
    machine.reboot()
    proxy.let_through("add")
    lives = address_of(machine.add("c1"))
    assert held.let_through() == HTTPStatus.OK

    proxy.let_through("del")
    machine.add("c2")

    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {lives}


def test_the_order_of_boots_outlives_a_kill_of_ipamd(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    address_of(machine.add("c0"))
    proxy.hold("del")
    assert machine.delete("c1", machine.config(timeout=1)).code == 0
    of_the_first_boot = proxy.await_held("del")
    machine.reboot()
    lives = address_of(machine.add("c1"))
    ipamd.kill()
    ipamd.start()

    assert of_the_first_boot.let_through() == HTTPStatus.NO_CONTENT

    assert ipamd.addresses(container_id="c1") == {lives}


def test_an_add_of_before_a_reboot_that_arrives_after_the_del_takes_nothing(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """A proxy keeps what the node has forgotten."""
    address_of(machine.add("c0"))
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        add.kill()
    machine.reboot()
    assert machine.delete("c1").code == 0

    assert held.let_through() == HTTPStatus.CONFLICT

    assert ipamd.addresses(container_id="c1") == set()


def test_a_node_whose_clock_steps_back_is_understood(ipamd: IpamdProcess, machine: Machine) -> None:
    now = int(time.time())
    machine.set_wall_clock(now)
    address_of(machine.add("c1"))

    machine.set_wall_clock(now - HOUR)
    assert machine.delete("c1").code == 0
    assert ipamd.addresses() == set()

    machine.set_wall_clock(now - 2 * HOUR)
    again = address_of(machine.add("c1"))
    assert ipamd.addresses() == {again}


@pytest.mark.parametrize("back", [HOUR, None], ids=["an hour back", "1970"])
def test_a_release_spooled_by_a_wrong_clock_has_its_place_in_the_order(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine, back: int | None
) -> None:
    first = address_of(machine.add("c1"))
    proxy.lose("del")
    machine.set_wall_clock(LONG_AGO if back is None else int(time.time()) - back)
    assert machine.delete("c1").code == 0
    assert machine.plugin.waiting()[0]["request"]["issued"]["time"] < time.strftime("%Y-%m-%dT%H:%M:%SZ")
    proxy.let_through("del")

    assert address_of(machine.add("c1")) == first
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {first}

    assert machine.delete("c1").code == 0
    assert ipamd.addresses() == set()


def test_an_add_that_was_held_up_is_overtaken_though_the_clock_stepped_back(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        machine.set_wall_clock(LONG_AGO)
        assert machine.delete("c1").code == 0

        assert held.let_through() == HTTPStatus.CONFLICT

        assert finish(add).error["code"] == OVERTAKEN
    assert ipamd.addresses() == set()


def test_a_node_that_starts_in_1970_gets_addresses_and_gives_them_back(
    ipamd: IpamdProcess, machine: Machine
) -> None:
    machine.reboot()
    machine.set_wall_clock(0)

    address = address_of(machine.add("c1"))
    assert ipamd.addresses() == {address}
    assert address_of(machine.add("c1")) == address

    assert machine.delete("c1").code == 0
    assert ipamd.addresses() == set()
