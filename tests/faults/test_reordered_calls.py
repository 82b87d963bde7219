"""Calls that come late: the plugin as a process, a proxy that holds its requests back, the real service."""

import signal
import subprocess
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.cni.executable import SECONDS, finish
from tests.faults.clients import OVERTAKEN, TRY_AGAIN
from tests.faults.machine import Machine, address_of
from tests.faults.proxy import Proxy
from tests.service import IpamdProcess


def test_a_spooled_release_that_comes_after_the_next_add_frees_nothing(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    first = address_of(machine.add("c1"))
    proxy.lose("del")
    assert machine.delete("c1").code == 0
    proxy.hold("del")

    assert address_of(machine.add("c1")) == first
    assert proxy.await_held("del").let_through() == HTTPStatus.NO_CONTENT
    assert ipamd.addresses(container_id="c1") == {first}

    proxy.let_through("del")
    machine.add("c2")
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {first}


def test_a_release_that_is_delivered_twice_frees_nothing_of_the_next_container(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    machine.add("c1")
    proxy.lose_answers("del")
    assert machine.delete("c1").code == 0
    assert ipamd.addresses() == set()
    proxy.hold("del")

    second = address_of(machine.add("c1"))
    assert proxy.await_held("del").let_through() == HTTPStatus.NO_CONTENT

    assert ipamd.addresses(container_id="c1") == {second}


def test_an_add_that_arrives_after_its_del_takes_nothing_though_the_del_found_nothing(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        assert machine.delete("c1").code == 0

        assert held.let_through() == HTTPStatus.CONFLICT

        assert finish(add).error["code"] == OVERTAKEN
    assert ipamd.addresses() == set()
    assert machine.plugin.waiting() == []


def test_an_add_that_arrives_after_its_del_takes_nothing_though_another_add_was_answered(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        proxy.let_through("add")
        address_of(machine.add("c1"))
        assert machine.delete("c1").code == 0

        assert held.let_through() == HTTPStatus.CONFLICT

        assert finish(add).error["code"] == OVERTAKEN
    assert ipamd.addresses() == set()


def test_an_add_that_arrives_after_its_del_and_the_next_add_changes_nothing(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1"):
        held = proxy.await_held("add")
        proxy.let_through("add")
        assert machine.delete("c1").code == 0
        second = address_of(machine.add("c1"))

        assert held.let_through() == HTTPStatus.CONFLICT

    assert ipamd.addresses() == {second}


def test_an_add_that_arrives_after_its_del_takes_nothing_though_ipamd_was_killed_in_between(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        assert machine.delete("c1").code == 0
        ipamd.kill()
        ipamd.start()

        assert held.let_through() == HTTPStatus.CONFLICT

        assert finish(add).error["code"] == OVERTAKEN
    assert ipamd.addresses() == set()


def test_an_add_that_arrives_after_its_own_undo_takes_nothing(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    assert machine.add("c1", machine.config(timeout=1)).error["code"] == TRY_AGAIN
    deliver(machine, machine.config(), until=0)

    assert proxy.await_held("add").let_through() == HTTPStatus.CONFLICT

    assert ipamd.addresses() == set()


def test_a_collection_that_was_held_up_spares_what_was_added_since(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    address_of(machine.add("gone"))
    nothing_lives = machine.config(cni_version="1.1.0") | {"cni.dev/valid-attachments": []}
    proxy.hold("gc")
    collection = machine.plugin.start("GC", nothing_lives)
    held = proxy.await_held("gc")
    lives = address_of(machine.add("c1"))

    assert held.let_through() == HTTPStatus.NO_CONTENT

    assert finish(collection).code == 0
    assert ipamd.addresses() == {lives}


def orphan(machine: Machine, container: str) -> "subprocess.Popen[bytes]":
    """An ADD whose main plugin, the parent, is killed while it waits; it gives up after two seconds."""
    machine.plugin.before = ("sh", "-c", '"$@"; exit $?', "main-plugin")
    main_plugin = machine.plugin.start("ADD", machine.config(timeout=2), CNI_CONTAINERID=container)
    machine.plugin.before = ()
    return main_plugin


def test_an_orphan_that_gives_up_frees_nothing_of_the_container_that_lives(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    main_plugin = orphan(machine, "c1")
    held = proxy.await_held("add")
    main_plugin.kill()
    proxy.let_through("add")

    assert machine.delete("c1").code == 0
    lives = address_of(machine.add("c1"))
    proxy.lose("del")
    stdout, _ = main_plugin.communicate(timeout=SECONDS)  # open until the orphan has ended too

    assert main_plugin.returncode == -signal.SIGKILL
    assert b'"code":11' in stdout
    [undo] = machine.plugin.waiting()
    assert undo["request"]["undo"] is True
    assert held.let_through() == HTTPStatus.CONFLICT
    proxy.let_through("del")
    machine.add("c2")
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {lives}


def test_an_orphan_whose_answer_was_lost_frees_nothing_of_the_container_that_lives(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """Here the orphan's own ADD took the address, which the DEL freed and the next ADD may take again."""
    proxy.hold("add")
    main_plugin = orphan(machine, "c1")
    held = proxy.await_held("add")
    main_plugin.kill()
    proxy.let_through("add")
    held.deliver()
    assert len(ipamd.addresses(container_id="c1")) == 1

    assert machine.delete("c1").code == 0
    lives = address_of(machine.add("c1"))
    main_plugin.communicate(timeout=SECONDS)

    machine.add("c2")
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {lives}
    held.drop()


def test_an_orphan_frees_nothing_that_a_repeated_add_was_told_of(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    """Here there was no DEL: the address that the orphan's ADD took is the one that lives."""
    proxy.hold("add")
    main_plugin = orphan(machine, "c1")
    held = proxy.await_held("add")
    main_plugin.kill()
    proxy.let_through("add")
    held.deliver()

    lives = address_of(machine.add("c1"))
    main_plugin.communicate(timeout=SECONDS)

    machine.add("c2")
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {lives}
    held.drop()


def test_a_repeated_add_that_times_out_leaves_the_living_container_its_address(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    lives = address_of(machine.add("c1"))
    proxy.hold("add")

    assert machine.add("c1", machine.config(timeout=1)).error["code"] == TRY_AGAIN
    late = proxy.await_held("add")
    proxy.let_through("add")
    machine.add("c2")

    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {lives}
    assert late.let_through() == HTTPStatus.CONFLICT
    assert ipamd.addresses(container_id="c1") == {lives}


def test_an_add_whose_answer_is_lost_is_tried_again_and_gets_the_same_address(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.hold("add")
    with machine.adding("c1") as add:
        held = proxy.await_held("add")
        held.deliver()
        [taken] = ipamd.addresses(container_id="c1")
        proxy.let_through("add")
        held.drop()

        assert address_of(finish(add)) == taken
    machine.add("c2")
    assert machine.plugin.waiting() == []
    assert ipamd.addresses(container_id="c1") == {taken}


def test_an_add_whose_every_answer_is_lost_leaves_nothing_behind(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    proxy.lose_answers("add")
    proxy.lose("del")
    assert machine.add("c1", machine.config(timeout=1)).error["code"] == TRY_AGAIN
    assert len(ipamd.addresses(container_id="c1")) == 1

    proxy.let_through("add")
    proxy.let_through("del")
    second = address_of(machine.add("c2"))

    assert machine.plugin.waiting() == []
    assert ipamd.addresses() == {second}


def test_an_add_whose_result_nobody_can_read_leaves_nothing_behind(
    ipamd: IpamdProcess, proxy: Proxy, machine: Machine
) -> None:
    with Path("/dev/full").open("wb") as full:
        assert machine.plugin.call("ADD", machine.config(), stdout=full).code == 1

    deliver(machine, machine.config(), until=0)

    assert ipamd.addresses() == set()


def test_an_add_that_begins_while_ipamd_is_away_is_answered_when_it_is_back(
    ipamd: IpamdProcess, machine: Machine
) -> None:
    ipamd.kill()
    with machine.adding("c1", machine.config(endpoint=ipamd.tcp_endpoint, timeout=SECONDS)) as add:
        ipamd.start()

        address = address_of(finish(add))
    assert ipamd.addresses() == {address}


def test_two_networks_on_two_services_get_each_its_own_release(
    scratch: Path, ipamd: IpamdProcess, machine: Machine
) -> None:
    away = IpamdProcess(scratch / "away")
    away.folder.mkdir()
    away.start()
    away.create_pool("pods", "10.9.0.0/24", cooldown=0)
    here = machine.config("here", endpoint=ipamd.tcp_endpoint)
    there = machine.config("there", endpoint=away.tcp_endpoint)
    first = address_of(machine.add("c1", here))
    assert address_of(machine.add("c1", there, CNI_IFNAME="net1")) == first
    ipamd.stop()
    away.stop()
    assert machine.delete("c1", here).code == 0
    assert machine.delete("c1", there, CNI_IFNAME="net1").code == 0
    assert len(machine.plugin.waiting()) == 2

    ipamd.start()
    deliver(machine, here, until=1)
    [left] = machine.plugin.waiting()
    assert left["endpoint"] == [away.tcp_endpoint]
    assert ipamd.addresses(container_id="c1") == set()

    away.start()
    assert away.addresses() == {first}
    deliver(machine, here, until=0)
    assert away.addresses() == set()
    away.stop()
    away.http.close()


def deliver(machine: Machine, config: dict[str, Any], until: int) -> None:
    """Make calls until so few entries wait; each begins at a random one and ends where nobody answers."""
    for number in range(64):
        if len(machine.plugin.waiting()) <= until:
            return
        assert machine.delete(f"passing-{number}", config).code == 0
    raise AssertionError("the spool is not delivered")


def test_the_same_container_id_on_two_nodes_has_two_addresses(
    scratch: Path, ipamd: IpamdProcess, proxy: Proxy
) -> None:
    one = Machine("node-a", scratch / "a", proxy.endpoint)
    other = Machine("node-b", scratch / "b", proxy.endpoint)

    first, second = address_of(one.add("c1")), address_of(other.add("c1"))
    assert first != second

    assert one.delete("c1").code == 0
    assert ipamd.addresses() == {second}


def test_the_same_container_id_on_nodes_of_one_name_in_two_clusters_has_two_addresses(
    scratch: Path, ipamd: IpamdProcess, proxy: Proxy
) -> None:
    one = Machine("node-a", scratch / "a", proxy.endpoint)
    other = Machine("node-a", scratch / "b", proxy.endpoint)
    east, west = one.config(cluster="east"), other.config(cluster="west")

    first, second = address_of(one.add("c1", east)), address_of(other.add("c1", west))
    assert first != second

    assert one.delete("c1", east).code == 0
    assert ipamd.addresses(cluster="east") == set()
    assert ipamd.addresses(cluster="west") == {second}
