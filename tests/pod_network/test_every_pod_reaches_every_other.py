"""Three nodes on a switch and one behind a router: every pod reaches every other, each the way it can."""

import json
from ipaddress import ip_network
from itertools import permutations

import pytest

from netlink import expression, nftables
from netlink.connection import NETFILTER
from netlink.nftables import Chain, Table
from tests.network.kernel import connect
from tests.network.namespace import Namespace
from tests.pod_network.capture import captured
from tests.pod_network.cluster import Fabric, Node, Pod, whole
from tests.pod_network.conftest import Ipam
from tests.pod_network.talking import echo, talks
from tests.waiting import eventually

_HEADERS = {4: 28, 6: 48}


@pytest.fixture
def nodes(fabric: Fabric, request: pytest.FixtureRequest) -> list[Node]:
    """Nodes whose MTUs are given, the last behind a router and the others on one switch."""
    mtus: list[int] = getattr(request, "param", [1500, 1500, 1500, 1500])
    near, far = fabric.switch("near", 0), fabric.switch("far", 1)
    made = [
        fabric.node(f"node-{number}", near, f"192.0.2.{number}", mtu)
        for number, mtu in enumerate(mtus[:-1], 1)
    ]
    made.append(fabric.node("node-9", far, "198.51.100.9", mtus[-1]))
    for node in made:
        node.start()
    whole(made)
    return made


def settled(nodes: list[Node], expected: dict[tuple[str, str], str]) -> None:
    def is_so() -> bool:
        return all(
            nodes_mode(node) == {p: m for (n, p), m in expected.items() if n == node.name} for node in nodes
        )

    def nodes_mode(node: Node) -> dict[str, str]:
        return node.modes()

    try:
        eventually(is_so, 30)
    except AssertionError as error:
        raise AssertionError(str({node.name: node.modes() for node in nodes})) from error


def modes_by_place(nodes: list[Node]) -> dict[tuple[str, str], str]:
    """Direct between those on the switch, and by vxlan to the one behind the router."""
    return {
        (one.name, other.name): "vxlan" if "node-9" in (one.name, other.name) else "direct"
        for one, other in permutations(nodes, 2)
    }


def pods_on(fabric: Fabric, nodes: list[Node], ipam: Ipam) -> list[Pod]:
    return [fabric.pod(f"pod-{number}", node, ipam) for number, node in enumerate(nodes)]


def test_by_ping_tcp_and_udp_in_both_families(fabric: Fabric, nodes: list[Node], ipam: Ipam) -> None:
    settled(nodes, modes_by_place(nodes))
    pods = pods_on(fabric, nodes, ipam)

    with captured(fabric.router, "to0") as by_router, captured(nodes[0].namespace, "eth0") as near:
        for one, other in permutations(pods, 2):
            for address in other.addresses:
                size = 1450 - _HEADERS[6 if ":" in address else 4]
                assert one.reaches(address, size), (one.name, other.name, address)
        for pod in pods:
            for address in pod.addresses:
                with echo(pod.namespace, address) as callers:
                    others = [other for other in pods if other is not pod]
                    assert all(talks(other.namespace, address) for other in others), address
                # No packet between pods has its source changed.
                assert set(callers) <= {each for other in others for each in other.addresses}

    assert all(packet.is_by_tunnel() for packet in by_router if str(packet.source)[:5] != "fe80:")
    assert not any(packet.is_fragment for packet in by_router + near)
    direct = {(str(packet.source), str(packet.destination)) for packet in near if not packet.is_by_tunnel()}
    assert (pods[0].addresses[0], pods[1].addresses[0]) in direct
    assert (pods[0].addresses[0], pods[3].addresses[0]) not in direct


@pytest.mark.parametrize("nodes", [[1500, 1500]], indirect=True)
@pytest.mark.parametrize("length", [29, 124])
def test_what_is_behind_a_pod_by_its_prefix(
    fabric: Fabric, nodes: list[Node], ipam: Ipam, length: int
) -> None:
    pod = fabric.unborn_pod("nesting", nodes[0], ipam)
    pod.ask_for_prefix(length)
    pod.add()
    other = fabric.pod("other", nodes[1], ipam)
    [prefix] = pod.prefixes
    last = str(ip_network(prefix)[-1])
    pod.run("ip", "link", "set", "lo", "up")
    pod.run("ip", "address", "add", last, "dev", "lo")

    assert other.reaches(last)
    assert pod.reaches(other.addresses[0 if "." in last else -1], source=last)
    nodes[0].stop()
    nodes[0].namespace.run("ip", *(["-6"] if ":" in last else []), "route", "del", prefix)
    nodes[0].start()
    eventually(lambda: other.reaches(last))
    pod.call("DEL")
    assert not other.sends(last)


@pytest.mark.parametrize("nodes", [[9000, 1500, 9000]], indirect=True)
def test_with_uplinks_of_different_size(fabric: Fabric, nodes: list[Node], ipam: Ipam) -> None:
    pods = pods_on(fabric, nodes, ipam)
    mtus = [json.loads(pod.run("ip", "-j", "link", "show", "eth0"))[0]["mtu"] for pod in pods]

    assert mtus == [8950, 1450, 8950]
    for pod in pods:
        for address in pod.addresses:
            with echo(pod.namespace, address):
                assert all(talks(other.namespace, address) for other in pods if other is not pod), address


def drop_sources_of_pods(switch: Namespace) -> None:
    """Let a switch drop what has a pod's source, as clouds do."""
    table = Table(nftables.BRIDGE, "cloud")
    rule = [
        expression.payload(expression.LINK_HEADER, 12, 2),
        expression.compare(expression.EQUAL, b"\x08\x00"),
        expression.payload(expression.NETWORK_HEADER, 12, 2),
        expression.compare(expression.EQUAL, bytes([10, 64])),
        expression.verdict(expression.DROP),
    ]
    chain = Chain("forward", nftables.FORWARD)
    filters = connect(switch, NETFILTER)
    answers = filters.transaction(
        nftables.transaction([table.add(), table.add_chain(chain), table.add_rule(chain.name, rule)])
    )
    filters.close()
    assert all(one.refusal is None for one in answers)


def test_a_switch_that_drops_pods_sources_is_passed_by_the_tunnel(fabric: Fabric, ipam: Ipam) -> None:
    switch = fabric.switch("switch", 0)
    drop_sources_of_pods(switch)
    nodes = [fabric.node(f"node-{number}", switch, f"192.0.2.{number}") for number in (1, 2)]
    for node in nodes:
        node.start()
    whole(nodes)
    pods = pods_on(fabric, nodes, ipam)

    assert all(pods[0].reaches(address) for address in pods[1].addresses)
    settled(nodes, {("node-1", "node-2"): "vxlan", ("node-2", "node-1"): "vxlan"})


def test_a_switch_that_begins_to_drop_them_is_noticed(fabric: Fabric, ipam: Ipam) -> None:
    switch = fabric.switch("switch", 0)
    nodes = [fabric.node(f"node-{number}", switch, f"192.0.2.{number}") for number in (1, 2)]
    for node in nodes:
        node.start()
    whole(nodes)
    settled(nodes, {("node-1", "node-2"): "direct", ("node-2", "node-1"): "direct"})
    pods = pods_on(fabric, nodes, ipam)

    drop_sources_of_pods(switch)

    settled(nodes, {("node-1", "node-2"): "vxlan", ("node-2", "node-1"): "vxlan"})
    assert all(pods[0].reaches(address) for address in pods[1].addresses)
