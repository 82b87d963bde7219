"""Beside another pod network, as IPAM of other main plugins: one story, in its tests' order."""

import json
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.machine import Machine
from tests.kubernetes.release import POSTGRES, Release
from tests.kubernetes.sandbox import Sandbox
from tests.kubernetes.workload import Pod, address, delete_set, not_ready, on_both_nodes, ping, run_deployment

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

PODS: Final = 4
OTHERS: Final = {"node1": ip_network("10.70.1.0/24"), "node2": ip_network("10.70.2.0/24")}
STORAGE: Final = {"name": "storage", "subnet": "10.9.0.0/24", "auto_assign": False, "cooldown": 1}
NETWORK: Final = {
    "cniVersion": "1.0.0",
    "name": "storage",
    "type": "macvlan",
    "master": "lan",
    "ipam": {"type": "ipamd-ipam", "pools": ["storage"]},
}
INTERFACE: Final = "net1"


def give_network(machine: Machine) -> None:
    """What the cluster has already: a bridge on each node, with addresses of the node's own."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": str(OTHERS[machine.name])}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "bridge", "bridge": "other0", "isGateway": True, "ipam": ipam}
    conflist = {"cniVersion": "1.0.0", "name": "other", "plugins": [plugin]}
    machine.feed(
        json.dumps(conflist), "tee", "/etc/cni/net.d/50-other.conflist", env={"PATH": "/usr/bin:/bin"}
    )


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Release:
    """The chart in a cluster that has its pod network, with two replicas in that."""
    one, other = cluster.machines
    one.run("ip", "route", "add", str(OTHERS[other.name]), "via", other.address)
    other.run("ip", "route", "add", str(OTHERS[one.name]), "via", one.address)
    for machine in cluster.machines:
        give_network(machine)
        machine.run("ip", "link", "add", "other0", "type", "bridge")
    wait_for(lambda: not_ready(cluster) == [], "ready nodes")
    database = {"kind": "trial", "trial": {"image": POSTGRES}, "storage": {"ephemeral": True}}
    made = Release(cluster, {"database": database, "pools": [STORAGE]})
    made.upgrade()
    return made


@pytest.fixture(scope="module")
def two(release: Release) -> tuple[Pod, Pod]:
    """A pod on each node."""
    first, _, distant = on_both_nodes(run_deployment(release.cluster, "web", PODS))
    return first, distant


def add(release: Release, pod: Pod) -> str:
    result: dict[str, Any] = Sandbox(release.cluster, pod).call("ADD", INTERFACE, NETWORK)
    return str(ip_interface(result["ips"][0]["address"]).ip)


def test_nodes_get_plugin_and_credentials_and_keep_their_network(
    release: Release, two: tuple[Pod, Pod]
) -> None:
    for found in release.files():
        assert {"/opt/cni/bin/ipamd-ipam", "/etc/ipamd/node.json"} < set(found.split())
        assert [path for path in found.split() if "/net.d/" in path] == ["/etc/cni/net.d/50-other.conflist"]
    assert [pod for pod in two if ip_address(address(pod)) not in OTHERS[pod["spec"]["nodeName"]]] == []
    assert release.held() == []


def test_a_second_interface_of_macvlan_gets_its_address_from_ipamd(
    release: Release, two: tuple[Pod, Pod]
) -> None:
    addresses = [add(release, pod) for pod in two]

    ping(release.cluster, two[0], addresses[1])
    expected = {
        (given, "default", pod["metadata"]["name"], pod["spec"]["nodeName"])
        for given, pod in zip(addresses, two, strict=True)
    }

    def held() -> set[tuple[str, ...]]:
        return {(one["address"], one["namespace"], one["name"], one["node"]) for one in release.held()}

    wait_for(lambda: held() == expected, "reports of both nodes")


def test_after_an_upgrade_the_second_interface_is_released_and_comes_again(
    release: Release, two: tuple[Pod, Pod]
) -> None:
    release.upgrade({"image": {"tag": "next"}})

    for pod in two:
        Sandbox(release.cluster, pod).call("DEL", INTERFACE, NETWORK)
    wait_for(lambda: release.held() == [], "all released")
    assert add(release, two[0]) != ""
    Sandbox(release.cluster, two[0]).call("DEL", INTERFACE, NETWORK)


def test_uninstalled_the_nodes_are_as_they_were_and_keep_their_network(release: Release) -> None:
    delete_set(release.cluster, "deployment", "web")

    release.uninstall()

    first, _, distant = on_both_nodes(run_deployment(release.cluster, "after", PODS))
    ping(release.cluster, first, address(distant))
