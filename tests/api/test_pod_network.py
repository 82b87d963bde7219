"""The pod network of a cluster over REST, on both databases: each test has a cluster of its own."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ipamd.api.schemas.pod_network import LONGEST_WAIT
from tests.api.plugin_call import call
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> Iterator[IpamdProcess]:
    if request.param == "sqlite":
        with running_service() as running:
            yield running
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.migrated() as database, running_service(database_url=postgres.url(database)) as running:
        yield running


class Cluster:
    """A cluster that no other test knows, with pools of 32 addresses in blocks of 8."""

    def __init__(self, http: httpx.Client, name: str | None = None) -> None:
        self.http = http
        self.name = name or f"cluster-{next(_numbers)}"

    def pool(self, family: int = 4, **fields: Any) -> str:
        """Make a pool; its name."""
        subnet, block = ("10.64.0.0/27", 29) if family == 4 else ("fd00:64::/123", 125)
        body = {
            "name": f"{self.name}-v{family}",
            "space": self.name,
            "subnet": subnet,
            "block_size": block,
            "affinity": "node",
            "gateway": None,
            "cooldown": 0,
            "selectors": {"clusters": [self.name]},
            **fields,
        }
        made = self.http.post("/v1/pools", json=body)
        assert made.status_code == 201, made.text
        return str(body["name"])

    def publish(self, number: int = 1, **fields: Any) -> httpx.Response:
        """What the agent of node-NUMBER says."""
        body = {
            "machine": f"machine-{number}",
            "address": f"192.0.2.{number}",
            "prefixes": ["192.0.2.0/24"],
            "mtu": 1500,
            "mac": f"02:00:00:00:00:{number:02x}",
            **fields,
        }
        return self.http.put(f"/v1/network/nodes/{self.name}/node-{number}", json=body)

    def joined(self, number: int = 1, **fields: Any) -> dict[str, Any]:
        answer = self.publish(number, **fields)
        assert answer.status_code == 200, answer.text
        node: dict[str, Any] = answer.json()
        return node

    def network(self) -> dict[str, Any]:
        answer = self.http.get("/v1/network", params={"cluster": self.name})
        assert answer.status_code == 200, answer.text
        network: dict[str, Any] = answer.json()
        return network

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in self.network()["nodes"]}

    def changes(self, since: dict[str, Any], wait: int = 0, **more: Any) -> httpx.Response:
        query = {"cluster": self.name, "epoch": since["epoch"], "after": since["number"], "wait": wait}
        return self.http.get("/v1/network/changes", params=query | more)

    def add(self, name: str, number: int = 1, **ipam: Any) -> dict[str, Any]:
        """An ADD of a container on a node; its first address."""
        body = call(name, cluster=self.name, node=f"node-{number}", ipam=ipam)
        answer = self.http.post("/v1/cni/add", json=body)
        assert answer.status_code == 200, answer.text
        first: dict[str, Any] = answer.json()["ips"][0]
        return first

    def delete(self, name: str, number: int = 1) -> None:
        body = call(name, cluster=self.name, node=f"node-{number}")
        assert self.http.post("/v1/cni/del", json=body).is_success


@pytest.fixture
def cluster(service: IpamdProcess) -> Cluster:
    return Cluster(service.http)


SETTINGS = {
    "mode": "auto",
    "underlay": "ipv4",
    "vxlan": {"port": 8751, "vni": 8751},
    "masquerade_except": [],
    "check_sources": True,
}


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# What nodes publish ---------------------------------------------------------------------------------------


def test_a_network_that_nobody_has_joined_has_its_defaults(cluster: Cluster) -> None:
    cluster.pool()

    network = cluster.network()

    assert (network["settings"], network["nodes"], network["number"]) == (SETTINGS, [], 0)
    assert network["pools"] == [{"name": f"{cluster.name}-v4", "subnet": "10.64.0.0/27", "masquerade": False}]


def test_blocks_of_prefixes_are_announced_and_give_no_node_its_own_address(cluster: Cluster) -> None:
    cluster.pool(6)
    of_prefixes = {"subnet": "fd00:65::/56", "prefix_length": 64, "block_size": 60, "priority": 9}
    name = cluster.pool(6, name=f"{cluster.name}-nested", **of_prefixes)
    node = cluster.joined()
    assert node["pod_addresses"] == ["fd00:64::1"]

    config = {"args": {"cni": {"prefix": f"{name}/64"}}}
    body = call("p1", cluster=cluster.name, node="node-1", config=config)
    added = cluster.http.post("/v1/cni/add", json=body).json()

    assert added["ipamd.io/prefixes"] == ["fd00:65::/64"]
    assert "fd00:65::/60" in cluster.nodes()["node-1"]["blocks"]


def test_a_node_that_joins_has_addresses_and_blocks_of_both_families_and_all_see_it(
    cluster: Cluster,
) -> None:
    cluster.pool()
    cluster.pool(6)

    node = cluster.joined(version="0.1.0")

    assert node == {
        "name": "node-1",
        "machine": "machine-1",
        "address": "192.0.2.1",
        "prefixes": ["192.0.2.0/24"],
        "mtu": 1500,
        "mac": "02:00:00:00:00:01",
        "version": "0.1.0",
        "pod_addresses": ["10.64.0.1", "fd00:64::1"],
        "blocks": ["10.64.0.0/29", "fd00:64::/125"],
        "borrowed": [],
        "last_seen": node["last_seen"],
    }
    assert node["last_seen"] is not None
    assert cluster.nodes()["node-1"]["blocks"] == node["blocks"]


def test_a_node_that_says_the_same_again_keeps_what_it_has_and_nothing_has_changed(cluster: Cluster) -> None:
    cluster.pool()
    first = cluster.joined()
    before = cluster.network()

    again = cluster.joined()

    assert {**again, "last_seen": None} == {**first, "last_seen": None}
    assert cluster.network()["number"] == before["number"]


def test_a_family_that_gets_a_pool_later_gives_its_address_when_the_node_says_so_again(
    cluster: Cluster,
) -> None:
    cluster.pool()
    cluster.joined()
    cluster.pool(6)

    assert cluster.joined()["pod_addresses"] == ["10.64.0.1", "fd00:64::1"]


def test_the_pool_of_nodes_addresses_is_the_one_of_highest_priority(cluster: Cluster) -> None:
    cluster.pool()
    cluster.pool(name=f"{cluster.name}-first", subnet="10.65.0.0/27", priority=5)
    cluster.pool(name=f"{cluster.name}-elsewhere", subnet="10.66.0.0/27", priority=9, affinity="any")

    assert cluster.joined()["pod_addresses"] == ["10.65.0.1"]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"address": "10.64.0.9"}, "which is in pool"),
        ({"prefixes": ["10.64.0.0/16"]}, "overlaps pool"),
        ({"address": "2001:db8::1"}, "reach each other by ipv4"),
        ({"address": "127.0.0.1"}, "not an address by which"),
        ({"mtu": 100}, "mtu"),
        ({"mac": "01:00:5e:00:00:01"}, "mac"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_node_that_says_what_cannot_be_is_refused_and_not_announced(
    cluster: Cluster, fields: dict[str, Any], refusal: str
) -> None:
    cluster.pool()

    answer = cluster.publish(**fields)

    assert refused(answer) == (422, "invalid")
    assert refusal in answer.json()["detail"]
    assert cluster.nodes() == {}


def test_another_machine_under_the_name_of_a_living_node_is_refused_and_both_are_named(
    cluster: Cluster,
) -> None:
    cluster.pool()
    cluster.joined()

    answer = cluster.publish(machine="a-clone", address="192.0.2.9")

    assert refused(answer) == (409, "node-name-taken")
    assert "machine-1" in answer.json()["detail"]
    assert "a-clone" in answer.json()["detail"]
    assert cluster.nodes()["node-1"]["address"] == "192.0.2.1"


def test_the_address_of_another_living_node_is_refused_and_both_are_named(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()

    answer = cluster.publish(2, address="192.0.2.1")

    assert refused(answer) == (409, "node-address-taken")
    assert "node-1" in answer.json()["detail"]
    assert "node-2" in answer.json()["detail"]
    assert set(cluster.nodes()) == {"node-1"}


def test_another_name_on_the_same_machine_is_another_node(cluster: Cluster) -> None:
    """Several nodes may run on one machine, in namespaces or containers."""
    cluster.pool()
    cluster.joined()

    clash = cluster.publish(2, machine="machine-1", address="192.0.2.1")
    beside = cluster.publish(3, machine="machine-1")

    assert refused(clash) == (409, "node-address-taken")
    assert beside.status_code == 200
    assert set(cluster.nodes()) == {"node-1", "node-3"}


def test_two_clusters_may_have_nodes_of_the_same_name_and_address(
    cluster: Cluster, service: IpamdProcess
) -> None:
    other = Cluster(service.http)
    for each in (cluster, other):
        each.pool()
        each.joined()

    assert set(cluster.nodes()) == set(other.nodes()) == {"node-1"}


def test_a_pool_that_overlaps_the_network_of_nodes_is_refused(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()
    body = {"name": f"{cluster.name}-bad", "space": "any", "subnet": "192.0.2.128/25", "affinity": "node"}

    answer = cluster.http.post("/v1/pools", json=body | {"selectors": {"clusters": [cluster.name]}})

    assert refused(answer) == (409, "pool-overlaps")
    assert "node-1" in answer.json()["detail"]


def test_a_node_that_is_forgotten_is_withdrawn_and_its_own_address_is_free(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()
    cluster.joined(2)
    since = cluster.network()

    assert cluster.http.delete(f"/v1/nodes/{cluster.name}/node-1").status_code == 204

    assert cluster.changes(since).json()["removed"] == ["node-1"]
    assert set(cluster.nodes()) == {"node-2"}
    held = cluster.http.get("/v1/allocations", params={"pool": f"{cluster.name}-v4"}).json()["items"]
    assert [item["owner"] for item in held] == [f"node:{cluster.name}/node-2"]


def test_labels_leave_what_a_node_has_published(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()

    answer = cluster.http.put(f"/v1/nodes/{cluster.name}/node-1", json={"labels": {"zone": "a"}})

    assert answer.is_success
    assert cluster.nodes()["node-1"]["address"] == "192.0.2.1"


def test_nobody_else_is_an_owner_like_a_node(cluster: Cluster) -> None:
    answer = cluster.http.post("/v1/allocations", json={"owner": f"node:{cluster.name}/node-1"})

    assert refused(answer) == (422, "invalid")


# Settings -------------------------------------------------------------------------------------------------


def test_settings_change_by_a_merge_patch_and_null_is_the_default(cluster: Cluster) -> None:
    url = f"/v1/network?cluster={cluster.name}"
    changed = {"mode": "vxlan", "vxlan": {"port": 4790}, "masquerade_except": ["192.0.2.0/24"]}

    first = cluster.http.patch(url, json=changed)
    second = cluster.http.patch(url, json={"vxlan": None, "check_sources": False})

    assert first.json() == SETTINGS | changed | {"vxlan": {"port": 4790, "vni": 8751}}
    assert second.json() == SETTINGS | {
        "mode": "vxlan",
        "masquerade_except": ["192.0.2.0/24"],
        "check_sources": False,
    }
    assert cluster.network()["settings"] == second.json()


def test_settings_that_somebody_has_changed_since_are_not_changed(cluster: Cluster) -> None:
    url = f"/v1/network?cluster={cluster.name}"
    tag = cluster.http.get(url).headers["etag"]
    assert cluster.http.patch(url, json={"mode": "vxlan"}, headers={"If-Match": tag}).is_success

    answer = cluster.http.patch(url, json={"mode": "direct"}, headers={"If-Match": tag})

    assert refused(answer) == (412, "stale")
    assert cluster.network()["settings"]["mode"] == "vxlan"


def test_an_underlay_that_nodes_are_not_in_is_refused(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()

    answer = cluster.http.patch(f"/v1/network?cluster={cluster.name}", json={"underlay": "ipv6"})

    assert refused(answer) == (422, "invalid")
    assert "node-1" in answer.json()["detail"]


# Changes --------------------------------------------------------------------------------------------------


def test_changes_are_whole_nodes_and_what_has_not_changed_is_null(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()
    since = cluster.network()
    second = cluster.joined(2)

    changes = cluster.changes(since).json()

    assert changes["number"] > since["number"]
    assert (changes["settings"], changes["pools"], changes["removed"]) == (None, None, [])
    [node] = changes["nodes"]
    assert node | {"last_seen": None} == second | {"last_seen": None}


def test_settings_and_pools_are_changes_too(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()
    since = cluster.network()
    cluster.http.patch(f"/v1/network?cluster={cluster.name}", json={"mode": "direct"})
    cluster.pool(6)

    changes = cluster.changes(since).json()

    assert changes["settings"]["mode"] == "direct"
    assert [pool["name"] for pool in changes["pools"]] == [f"{cluster.name}-v4", f"{cluster.name}-v6"]


def test_a_pool_whose_blocks_become_the_nodes_brings_the_blocks_that_they_have(cluster: Cluster) -> None:
    pool = cluster.pool(affinity="node", selectors={"clusters": ["elsewhere", cluster.name]})
    cluster.joined()
    assert cluster.http.patch(f"/v1/pools/{pool}", json={"selectors": {"clusters": ["elsewhere"]}}).is_success
    since = cluster.network()
    assert since["nodes"][0]["blocks"] == []

    cluster.http.patch(f"/v1/pools/{pool}", json={"selectors": {"clusters": [cluster.name]}})

    [node] = cluster.changes(since).json()["nodes"]
    assert node["blocks"] == ["10.64.0.0/29"]


def test_who_waits_is_told_at_once_and_whoever_waits_in_vain_gets_the_same_number(
    cluster: Cluster, service: IpamdProcess
) -> None:
    cluster.pool()
    cluster.joined()
    since = cluster.network()
    with ThreadPoolExecutor(1) as thread, httpx.Client(base_url=service.tcp_endpoint, timeout=120) as http:
        waiting = thread.submit(Cluster(http, cluster.name).changes, since, LONGEST_WAIT)
        time.sleep(0.5)
        began = time.monotonic()
        cluster.joined(2)
        told = waiting.result().json()
    took = time.monotonic() - began
    nothing = cluster.changes(cluster.network(), 1).json()

    assert took < LONGEST_WAIT / 2
    assert [node["name"] for node in told["nodes"]] == ["node-2"]
    assert (nothing["nodes"], nothing["removed"]) == ([], [])
    assert nothing["number"] == cluster.network()["number"]


@pytest.mark.parametrize("stale", [{"epoch": "of another database", "wait": 30}, {"after": 10**6}])
def test_a_position_that_is_not_of_this_database_is_gone(cluster: Cluster, stale: dict[str, Any]) -> None:
    cluster.pool()
    cluster.joined()
    began = time.monotonic()

    answer = cluster.changes(cluster.network(), **stale)

    assert refused(answer) == (410, "network-changes-too-old")
    assert time.monotonic() - began < 15


def test_who_waits_is_let_go_when_the_service_ends() -> None:
    with running_service() as service, httpx.Client(base_url=service.tcp_endpoint, timeout=70) as http:
        cluster = Cluster(http)
        cluster.pool()
        cluster.joined()
        since = cluster.network()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(cluster.changes, since, 60)
            time.sleep(0.5)
            began = time.monotonic()
            service.stop()
            told = waiting.result()

    assert time.monotonic() - began < 10
    assert (told.status_code, told.json()["nodes"]) == (200, [])


def test_a_node_that_follows_the_changes_is_seen_unless_it_is_another_machine(cluster: Cluster) -> None:
    cluster.pool()
    first = cluster.joined()["last_seen"]
    time.sleep(0.01)

    cluster.changes(cluster.network(), node="node-1", machine="a-clone")
    after_the_clone = cluster.nodes()["node-1"]["last_seen"]
    cluster.changes(cluster.network(), node="NODE-1", machine="machine-1")

    assert after_the_clone == first
    assert cluster.nodes()["node-1"]["last_seen"] > first


# Blocks before addresses ----------------------------------------------------------------------------------


def test_the_next_block_is_announced_before_the_last_is_used_up(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()  # it has 10.64.0.1 itself, and 10.64.0.0 is the network address

    for number in range(4):
        cluster.add(f"c{number}")
    assert cluster.nodes()["node-1"]["blocks"] == ["10.64.0.0/29"]
    cluster.add("c4")

    eventually(lambda: cluster.nodes()["node-1"]["blocks"] == ["10.64.0.0/29", "10.64.0.8/29"])
    assert cluster.add("c5")["address"] == "10.64.0.7/27"


def test_an_add_that_changes_nothing_announced_takes_no_number(cluster: Cluster) -> None:
    cluster.pool()
    cluster.joined()
    before = cluster.network()["number"]

    cluster.add("c1")
    cluster.delete("c1")

    assert cluster.network()["number"] == before


def test_borrowed_addresses_are_announced_singly_and_taken_back(cluster: Cluster) -> None:
    pool = cluster.pool()
    cluster.joined(1)
    cluster.joined(2)
    since = cluster.network()

    borrowed = cluster.http.post(
        "/v1/cni/add",
        json=call("b1", cluster=cluster.name, node="node-2", ipam={"pools": [pool]}, args="IP=10.64.0.5"),
    )
    assert borrowed.json()["ips"][0]["address"] == "10.64.0.5/27"
    lent = cluster.changes(since).json()
    cluster.delete("b1", 2)
    back = cluster.changes(lent).json()

    assert [(node["name"], node["borrowed"]) for node in lent["nodes"]] == [("node-2", ["10.64.0.5/32"])]
    assert [(node["name"], node["borrowed"]) for node in back["nodes"]] == [("node-2", [])]


def test_a_block_that_changes_hands_is_told_of_both_nodes(cluster: Cluster) -> None:
    cluster.pool(subnet="10.64.0.0/28")
    cluster.joined(1)
    for number in range(6):
        cluster.add(f"c{number}")
    eventually(lambda: len(cluster.nodes()["node-1"]["blocks"]) == 2)
    since = cluster.network()

    node = cluster.joined(2)

    assert node["blocks"] == ["10.64.0.8/29"]
    changes = {each["name"]: each["blocks"] for each in cluster.changes(since).json()["nodes"]}
    assert changes == {"node-1": ["10.64.0.0/29"], "node-2": ["10.64.0.8/29"]}
