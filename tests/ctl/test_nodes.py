"""`ipamctl node`: what ipamd knows of nodes, and what a dead one held."""

from collections.abc import Iterator

import pytest

from tests.api.plugin_call import call
from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess


@pytest.fixture
def ipamd_process(lasting_ipamd: IpamdProcess) -> Iterator[IpamdProcess]:
    """One service for the module, empty for each test."""
    yield lasting_ipamd
    lasting_ipamd.empty()


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """A service with a pool of which two nodes' containers and a VM hold addresses."""
    ipamd_process.create_pool("pods", "10.1.0.0/16")
    for node, containers in (("dead", 3), ("other", 1)):
        for number in range(containers):
            add(ipamd_process, node, f"{node}-{number}")
    ipamd_process.http.post("/v1/allocations", json={"owner": "vm-1", "node": "dead"})
    return ipamd_process


def add(service: IpamdProcess, node: str, container_id: str) -> None:
    body = call(node=node, container_id=container_id)
    answer = service.http.post("/v1/cni/add", json=body)
    assert answer.status_code == 200, answer.text


def test_a_node_heard_from_lately_keeps_what_it_has(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    heard = ipamctl.json("node", "show", "dead")["last_contact"]

    sentence = ipamctl.refused("node", "release", "dead", "--why", "burnt")

    assert heard in sentence
    assert "--even-if-alive" in sentence
    assert len(service.allocations(node="dead")) == 3


def test_what_a_dead_node_held_is_free_and_history_says_why(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    held = {each["address"] for each in service.allocations(node="dead")}

    printed = ipamctl("node", "release", "dead", "--why", "its disk burnt", "--even-if-alive")
    again = ipamctl.json("node", "release", "dead", "--why", "once more", "--even-if-alive")

    ended = ipamctl.json("history", "--node", "dead", "--limit", "3")["items"]
    assert printed.startswith("3 addresses of node dead")
    assert again["released"] == 0
    assert {each["address"] for each in ended} == held
    assert {(each["ending"], each["reason"]) for each in ended} == {("admin", "its disk burnt")}
    assert len(service.allocations()) == 2  # the other node's container, and the VM
    assert "its disk burnt" in ipamctl("history", "--node", "dead")


def test_a_node_that_holds_more_than_a_page_is_freed_whole(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    for number in range(1100):
        add(service, "large", f"large-{number}")

    printed = ipamctl.json("node", "release", "large", "--why", "gone", "--even-if-alive")

    assert printed["released"] == 1100
    assert service.allocations(node="large") == []
    assert service.http.get("/v1/pools/pods/usage").json()["allocated"] == 5


def test_a_del_that_comes_late_from_a_dead_node_succeeds(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    ipamctl("node", "release", "dead", "--why", "gone", "--even-if-alive")

    answer = service.http.post("/v1/cni/del", json=call(node="dead", container_id="dead-0"))

    assert answer.status_code == 204


def test_a_node_that_ipamd_never_heard_of_is_refused(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    assert "no node" in ipamctl.refused("node", "release", "daed", "--why", "a slip of the pen")


def test_a_reason_must_be_given(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    assert ipamctl.run("node", "release", "dead", "--even-if-alive").returncode == 2
    assert service.http.post("/v1/nodes/default/dead/release", json={}).status_code == 422


def test_the_list_says_what_each_node_holds(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    holds = {item["name"]: item["holds"] for item in ipamctl.json("node", "list")["items"]}

    assert holds["dead"] == {"addresses": 3, "more_addresses": False, "seats": 0, "blocks": {}}
    assert "3 addresses" in ipamctl("node", "list")
    assert "1 address " in ipamctl("node", "list")
    ipamctl("node", "label", "idle", "rack=r1")
    assert ["default", "idle", "-", "-", "-", "rack=r1", "-", "-"] in ipamctl.rows("node", "list")


def test_a_node_drains_until_somebody_says_that_it_does_not(service: IpamdProcess, ipamctl: Ipamctl) -> None:
    printed = ipamctl("node", "drain", "other")
    states = {row["name"]: row["draining"] for row in ipamctl.json("node", "list")["items"]}

    assert "gets nothing new; it holds 1 address" in printed
    assert (states["dead"], states["other"]) == (False, True)
    assert "draining" in ipamctl("node", "list")
    ipamctl("node", "undrain", "other")
    assert ipamctl.json("node", "show", "other")["draining"] is False
    assert "no node" in ipamctl.refused("node", "drain", "othre")
    entry = ipamctl.json("log", "--kind", "node")["items"][0]
    assert (entry["before"]["draining"], entry["after"]["draining"]) == (True, False)


def test_a_node_is_removed_once_somebody_has_read_what_it_holds(
    service: IpamdProcess, ipamctl: Ipamctl
) -> None:
    asked = ipamctl.run("node", "remove", "dead", "--why", "burnt", "--even-if-alive")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "node dead of cluster default holds 3 addresses (last contact: " in asked.stderr
    assert len(service.allocations(node="dead")) == 3

    assert "--even-if-alive" in ipamctl.refused("node", "remove", "dead", "--why", "burnt", "--yes")
    printed = ipamctl("node", "remove", "dead", "--why", "burnt", "--even-if-alive", "--yes")

    assert printed == "node dead of cluster default is removed; it held 3 addresses of containers\n"
    assert "dead" not in {row["name"] for row in ipamctl.json("node", "list")["items"]}
    assert service.allocations(node="dead") == []
    assert "burnt" in ipamctl("history", "--node", "dead")
