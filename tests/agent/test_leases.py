"""The agent keeps seats ready for what the node is asked for, and ipamd hears of all that becomes of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ipam_plugin.leases import layout
from tests.agent.leased import Leased, leased_node
from tests.waiting import eventually


@pytest.fixture(scope="module")
def leased() -> Iterator[Leased]:
    """One node for all tests, which each leave the first container alone on it. Nobody switched leases on."""
    with leased_node(None) as node:
        yield node


def test_a_node_that_was_asked_for_addresses_holds_some_in_advance(leased: Leased) -> None:
    assert leased.seats(layout.FREE) >= 4
    [lease] = leased.service.http.get("/v1/leases").json()["items"]
    assert lease["node"] == "node-a"
    assert lease["seats"] >= 4


def test_while_ipamd_is_away_containers_begin_and_end_and_it_hears_of_them_afterwards(leased: Leased) -> None:
    leased.service.kill()

    given = {name: leased.add(name) for name in ("a1", "a2", "a3")}
    leased.delete("a2")
    eventually(lambda: leased.agent.metric("ipamd_agent_lease_unreported_events") == 4)
    eventually(lambda: leased.agent.metric("ipamd_agent_lease_oldest_unreported_seconds") > 0)
    del given["a2"]

    leased.service.start()
    eventually(leased.is_reported)
    assert {name: address for name, address in leased.held().items() if name != "first"} == given
    for name in given:
        leased.delete(name)
    eventually(leased.is_reported)
    assert set(leased.held()) == {"first"}


def test_an_agent_that_was_killed_goes_on_with_the_same_seats(leased: Leased) -> None:
    leased.agent.kill()
    address = leased.add("b1")

    leased.agent.start()

    eventually(leased.is_reported)
    assert leased.held()["b1"] == address
    eventually(leased.is_open)
    assert leased.add("b1") == address
    leased.delete("b1")


@pytest.mark.parametrize("is_known", [True, False])
def test_a_container_that_ended_here_gets_an_address_of_ipamd_before_ipamd_was_told(
    leased: Leased, is_known: bool
) -> None:
    """Whether ipamd knows of the container at all or not, it carries out the DEL first."""
    eventually(leased.is_open)
    if is_known:
        leased.add("g1")
        eventually(leased.is_reported)
    leased.agent.kill()
    seat = leased.add("g1")
    leased.delete("g1")
    plugin = leased.agent.plugin(endpoints=[leased.service.endpoint])
    asking = plugin.config() | {"runtimeConfig": {"ips": ["10.9.0.200"]}}

    given = plugin.call("ADD", asking, CNI_CONTAINERID="g1")

    assert given.json["ips"][0]["address"] == "10.9.0.200/24", given
    leased.agent.start()
    eventually(leased.is_reported)
    assert leased.held()["g1"] == "10.9.0.200"
    assert seat not in leased.held().values()
    assert plugin.call("DEL", asking, CNI_CONTAINERID="g1").code == 0
    assert set(leased.held()) == {"first"}


def test_what_ipamd_ends_ends_in_the_store(leased: Leased) -> None:
    leased.add("c1")
    eventually(leased.is_reported)
    [item] = [
        item
        for item in leased.service.http.get("/v1/allocations").json()["items"]
        if item["container_id"] == "c1"
    ]

    leased.service.http.delete(f"/v1/allocations/{item['id']}")

    eventually(lambda: leased.seats(layout.HELD) == 0)


def test_a_recall_empties_the_store_but_for_what_is_taken(leased: Leased) -> None:
    leased.add("d1")
    eventually(leased.is_reported)
    taken = [number for number, state in leased.store.states().items() if state == layout.HELD]
    before = set(leased.store.states())

    asked = leased.service.http.post("/v1/leases/recall", json={"node": "node-a"})

    assert asked.is_success, asked.text
    eventually(lambda: before & set(leased.store.states()) == set(taken))
    leased.delete("d1")
    eventually(lambda: not before & set(leased.store.states()))


def test_status_and_metrics_show_the_lease(leased: Leased) -> None:
    eventually(leased.is_open)

    shown = leased.agent.status().out
    metric = leased.agent.metric
    assert metric("ipamd_agent_lease_open") == 1
    assert metric('ipamd_agent_lease_seats{state="free"}') >= 1
    assert metric('ipamd_agent_lease_seats{state="taken"}') == 0
    assert 0 < metric("ipamd_agent_lease_seconds_left") <= 86_400
    assert metric("ipamd_agent_lease_refused_configurations") == 0
    assert metric("ipamd_agent_lease_last_report_timestamp_seconds") > 0

    assert "lease:          gives for" in shown
    assert "0 taken" in shown


def test_a_damaged_store_is_replaced_and_what_it_held_is_given_to_nobody(leased: Leased) -> None:
    eventually(leased.is_open)
    living = leased.add("f1")
    eventually(leased.is_reported)
    held = set(leased.store.states())
    with leased.store.path.open("r+b") as file:
        file.seek(layout.HIGH)
        file.write(b"\xff")

    beside = leased.add("f2")

    assert "store.set-aside" in leased.store.names()
    eventually(lambda: "store" in leased.store.names())
    eventually(lambda: leased.is_open() and leased.seats(layout.FREE) > 0)
    assert not held & set(leased.store.states())
    given = [living, beside, *(leased.add(name) for name in ("f3", "f4", "f5"))]
    assert len(set(given)) == len(given)
    for name in ("f1", "f2", "f3", "f4", "f5"):
        leased.delete(name)
    eventually(leased.is_reported)
    assert set(leased.held()) == {"first"}


def test_a_node_that_was_released_gives_nothing_of_before(leased: Leased) -> None:
    eventually(leased.is_open)
    leased.add("e1")
    before = set(leased.store.states())
    release = "/v1/nodes/default/node-a/release"
    dead = {"why": "it was thought to be dead", "even_if_alive": False}

    assert leased.service.http.post(release, json=dead).status_code == 409
    assert leased.service.http.post(release, json=dead | {"even_if_alive": True}).is_success

    eventually(lambda: len(before & set(leased.store.states())) == 1)  # the living container's
    eventually(leased.is_open)
    leased.delete("e1")
    eventually(lambda: not before & set(leased.store.states()))
    leased.delete("first")
    eventually(leased.is_reported)
    assert leased.held() == {}


def test_a_node_whose_lease_ipamd_does_not_know_shows_at_once_that_the_database_is_older() -> None:
    """It does not wait for its next look, which comes a minute after the one that begins with it."""
    with leased_node(8) as node, closing(sqlite3.connect(node.service.database)) as source:
        copy = node.agent.folder / "copy"
        with closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        for number in range(12):
            node.add(f"c{number}")
        eventually(node.is_reported)
        node.agent.stop()
        node.agent.start()
        eventually(lambda: looks(node) == 1)

        node.service.stop()
        for name in ("", "-wal", "-shm"):
            Path(f"{node.service.database}{name}").unlink(missing_ok=True)
        copy.rename(node.service.database)
        node.service.start()

        eventually(lambda: node.service.http.get("/v1/restore").json()["began"] is not None)
        assert "was told of allocation" in node.service.http.get("/v1/restore").json()["cause"]
        assert looks(node) == 1


def looks(node: Leased) -> int:
    told: int = node.agent.ask("GET", "/status").json()["containers"]["looks"]
    return told
