"""What becomes of pods while their node's uplink is of IPv6, gets another address, or goes and comes back."""

import json

from tests.pod_network.capture import captured
from tests.pod_network.cluster import Fabric, Node, Pod, whole
from tests.pod_network.conftest import Ipam
from tests.pod_network.talking import PORT, connect, echo, exchange, talks
from tests.service import IpamdProcess
from tests.waiting import eventually

SIZE = 1 << 20
INSIDE = 1500 - 70
"""What of the uplink's MTU the tunnel leaves to pods where nodes reach each other by IPv6."""
HEADERS = {4: 28, 6: 48}


def give_ipv6(fabric: Fabric, node: Node, number: int) -> None:
    """An address of IPv6 for a node on a switch, and the router as its way out."""
    network = f"2001:db8:{number}"
    fabric.router.run("ip", "address", "add", f"{network}::fe/64", "dev", f"to{number}", "nodad")
    node.run("ip", "address", "add", f"{network}::1/64", "dev", "eth0", "nodad")
    node.run("ip", "-6", "route", "add", "default", "via", f"{network}::fe")


def test_nodes_that_reach_each_other_by_ipv6_carry_pods_of_both_families(
    fabric: Fabric, service: IpamdProcess, ipam: Ipam
) -> None:
    assert service.http.patch("/v1/network", json={"underlay": "ipv6"}).is_success
    nodes = [
        fabric.node(f"node-{number}", fabric.switch(f"switch-{number}", number), address)
        for number, address in enumerate(("192.0.2.1", "198.51.100.2"))
    ]
    for number, node in enumerate(nodes):
        give_ipv6(fabric, node, number)
        node.start()
    whole(nodes)
    one, other = (fabric.pod(f"pod-{number}", node, ipam) for number, node in enumerate(nodes))

    assert json.loads(one.run("ip", "-j", "link", "show", "eth0"))[0]["mtu"] == INSIDE
    with captured(fabric.router, "to0") as seen:
        for address in other.addresses:
            assert one.reaches(address, INSIDE - HEADERS[6 if ":" in address else 4])
            with echo(other.namespace, address) as callers:
                assert talks(one.namespace, address)
            assert set(callers) <= set(one.addresses)

    between = [packet for packet in seen if packet.is_by_tunnel()]
    assert {str(packet.source) for packet in between} == {"2001:db8::1", "2001:db8:1::1"}
    assert all(packet.source.version == 6 and not packet.is_fragment for packet in between)
    ours = ("10.64.", "fd00:64:")
    assert not any(str(packet.source).startswith(ours) for packet in seen)


def test_a_connection_lasts_while_the_uplink_gets_another_address(
    nodes: tuple[Node, Node], pods: tuple[Pod, Pod]
) -> None:
    one, two = nodes
    addresses = pods[1].addresses
    with echo(pods[1].namespace, addresses[0]), connect(pods[0].namespace, addresses[0], PORT) as connection:
        connection.settimeout(60)
        assert exchange(connection, SIZE)

        one.run(
            "sh", "-ec",
            "ip address delete 192.0.2.1/24 dev eth0; ip address add 192.0.2.77/24 dev eth0; "
            "ip route add default via 192.0.2.254",
        )  # fmt: skip

        assert exchange(connection, SIZE)
    eventually(lambda: peer_address(two) == "192.0.2.77")
    whole([one, two])
    assert all(pods[0].reaches(address) for address in addresses)
    assert all(pods[1].reaches(address) for address in pods[0].addresses)


def peer_address(node: Node) -> str:
    document = node.document()
    assert document is not None
    [peer] = document["peers"]
    return str(peer["address"])


def test_an_uplink_that_goes_is_named_and_all_is_as_it_was_when_it_comes_back(
    fabric: Fabric, nodes: tuple[Node, Node], pods: tuple[Pod, Pod]
) -> None:
    one, two = nodes
    before = routing(one)
    one.run("ip", "link", "delete", "eth0")
    said = "this node's address 192.0.2.1 is on none of its links"
    eventually(lambda: said in one.status().stdout)
    assert one.status().returncode == 1
    eventually(lambda: pods[0].addresses[0] in one.run("ip", "route"))  # put back, without a source

    fabric.connect(one, fabric.switches[0])

    whole([one, two])
    eventually(lambda: routing(one) == before)
    assert all(pods[0].reaches(address) for address in pods[1].addresses)
    assert all(pods[1].reaches(address) for address in pods[0].addresses)


def routing(node: Node) -> list[str]:
    return sorted(node.run("ip", "route").splitlines() + node.run("ip", "-6", "route").splitlines())
