"""Two nodes on which flannel's pods and ours run at once, as while nodes change over one by one."""

from collections.abc import Callable

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.pod_network.cluster import SECONDS, Document, Fabric, Node, Pod, whole
from tests.pod_network.talking import PORT, echo, talks
from tests.waiting import eventually

Ipam = Callable[[Node], Document]

FLANNEL, PORT_OF_FLANNEL = "10.244.0.0/16", "8472"


def subnet(number: int) -> str:
    """The first three numbers of what flannel has leased to a node."""
    return f"10.244.{number}"


def carry(nodes: tuple[Node, Node]) -> None:
    """What flanneld makes with its backend vxlan, without its bridge."""
    for number, node in enumerate(nodes, 1):
        node.run(
            "ip", "link", "add", "flannel.1", "type", "vxlan", "id", "1", "dev", "eth0",
            "local", node.address, "dstport", PORT_OF_FLANNEL, "nolearning",
        )  # fmt: skip
        node.run("ip", "link", "set", "flannel.1", "address", f"02:24:40:00:00:0{number}", "up")
        node.run("ip", "address", "add", f"{subnet(number)}.0/32", "dev", "flannel.1")
        masquerade(node, f"{subnet(number)}.0/24")
    for node, other, peer in ((nodes[0], 2, nodes[1]), (nodes[1], 1, nodes[0])):
        via, mac = f"{subnet(other)}.0", f"02:24:40:00:00:0{other}"
        node.run("ip", "route", "add", f"{via}/24", "via", via, "dev", "flannel.1", "onlink")
        node.run("ip", "neighbour", "add", via, "lladdr", mac, "dev", "flannel.1")
        node.run("bridge", "fdb", "append", mac, "dev", "flannel.1", "dst", peer.address)


def masquerade(node: Node, own: str) -> None:
    """The rules of flanneld's `--ip-masq`, in its order."""
    rules = [
        ["-m", "mark", "--mark", "0x4000/0x4000", "-j", "RETURN"],
        ["-s", own, "-d", FLANNEL, "-j", "RETURN"],
        ["-s", FLANNEL, "-d", own, "-j", "RETURN"],
        ["!", "-s", FLANNEL, "-d", own, "-j", "RETURN"],
        ["-s", FLANNEL, "!", "-d", "224.0.0.0/4", "-j", "MASQUERADE", "--random-fully"],
        ["!", "-s", FLANNEL, "-d", FLANNEL, "-j", "MASQUERADE", "--random-fully"],
    ]
    node.run("iptables", "-w", "-t", "nat", "-N", "FLANNEL-POSTRTG")
    node.run("iptables", "-w", "-t", "nat", "-I", "POSTROUTING", "-j", "FLANNEL-POSTRTG")
    for rule in rules:
        node.run("iptables", "-w", "-t", "nat", "-A", "FLANNEL-POSTRTG", *rule)


def pod_of_flannel(make_namespace: MakeNamespace, node: Node, number: int) -> Namespace:
    """A pod on flannel's bridge, at the tenth address of its node's subnet."""
    pod = make_namespace(f"flannel-{number}")
    node.run("ip", "link", "add", "cni0", "mtu", "1450", "type", "bridge")
    node.run("ip", "address", "add", f"{subnet(number)}.1/24", "dev", "cni0")
    node.run("ip", "link", "set", "cni0", "up")
    pod.run("ip", "link", "add", "eth0", "mtu", "1450", "type", "veth", "peer", "name", "veth0")
    pod.run("ip", "link", "set", "veth0", "netns", node.namespace.name)
    node.run("ip", "link", "set", "veth0", "master", "cni0", "up")
    pod.run("ip", "address", "add", f"{subnet(number)}.10/24", "dev", "eth0")
    pod.run("ip", "link", "set", "eth0", "up")
    pod.run("ip", "route", "add", "default", "via", f"{subnet(number)}.1")
    return pod


def ours(pod: Pod) -> tuple[Namespace, str]:
    return pod.namespace, pod.addresses[0]


@pytest.mark.parametrize("far", [True, False], ids=["tunnel", "direct"])
def test_pods_of_both_networks_reach_each_other_and_those_of_one_keep_their_addresses(
    fabric: Fabric, make_namespace: MakeNamespace, ipam: Ipam, far: bool
) -> None:
    switch = fabric.switch("switch-1", 0)
    one = fabric.node("node-1", switch, "192.0.2.1")
    there = ("198.51.100.2", fabric.switch("switch-2", 1)) if far else ("192.0.2.2", switch)
    two = fabric.node("node-2", there[1], there[0])
    carry((one, two))
    old = [(pod_of_flannel(make_namespace, node, n), f"{subnet(n)}.10") for n, node in ((1, one), (2, two))]
    for node in (one, two):
        node.start()
    whole([one, two])
    eventually(lambda: one.modes() == {two.name: "vxlan" if far else "direct"}, SECONDS)
    new = [ours(fabric.pod(f"pod-{node.name}", node, ipam)) for node in (one, two)]

    for namespace, address in old + new:
        with echo(namespace, address) as callers:
            for asker, own in old + new:
                if asker is namespace:
                    continue
                callers.clear()
                assert talks(asker, address, PORT), f"{own} to {address}"
                same = own.startswith("10.244.") == address.startswith("10.244.")
                assert (set(callers) == {own}) is same, f"{own} to {address} came from {callers}"
    assert one.status().returncode == 0
