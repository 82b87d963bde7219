"""Who is no peer does not get into the tunnel, and a pod sends with its own address only."""

import contextlib
import socket
from ipaddress import ip_address

import pytest

from tests.network.namespace import Namespace
from tests.pod_network.cluster import Fabric, Node, Pod
from tests.pod_network.inside import inside
from tests.pod_network.talking import PORT
from tests.waiting import eventually

TUNNEL = 8751


def listening(pod: Pod, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = inside(pod.namespace, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.bind((address, PORT))
    made.settimeout(1)
    return made


def sending_from(namespace: Namespace, source: str = "0.0.0.0") -> socket.socket:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    made = inside(namespace, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.bind((source, 0))
    return made


def hears(listener: socket.socket) -> bool:
    with contextlib.suppress(TimeoutError):
        return bool(listener.recv(100))
    return False


def in_tunnel(source: str, destination: str, mac: bytes) -> bytes:
    """A datagram in the tunnel's wrapping, to the MAC of a node's device."""
    payload = b"from a stranger"
    ports = PORT.to_bytes(2, "big") * 2
    udp = ports + (8 + len(payload)).to_bytes(2, "big") + bytes(2) + payload
    ends = ip_address(source).packed + ip_address(destination).packed
    head = b"\x45\x00" + (20 + len(udp)).to_bytes(2, "big") + bytes(4) + bytes([64, 17, 0, 0]) + ends
    total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, 20, 2))
    checksum = 0xFFFF - (total % 0xFFFF or 0xFFFF)
    packet = head[:10] + checksum.to_bytes(2, "big") + head[12:] + udp
    return b"\x08\x00\x00\x00" + (TUNNEL << 8).to_bytes(4, "big") + mac + b"\x02\0\0\0\0\x77\x08\x00" + packet


def test_a_stranger_gets_nothing_through_the_tunnel(
    fabric: Fabric, nodes: tuple[Node, Node], pods: tuple[Pod, Pod]
) -> None:
    [device] = nodes[1].json("ip", "-j", "link", "show", "vxlan.ipamd")
    mac = bytes.fromhex(device["address"].replace(":", ""))
    address = pods[1].addresses[0]
    [own] = nodes[0].json("ip", "-j", "-4", "address", "show", "dev", "vxlan.ipamd")
    packet = in_tunnel(own["addr_info"][0]["local"], address, mac)
    with listening(pods[1], address) as listener:
        for namespace, arrives in ((nodes[0].namespace, True), (fabric.router, False)):
            with sending_from(namespace) as sending:
                for _ in range(3):
                    sending.sendto(packet, (nodes[1].address, TUNNEL))
            assert hears(listener) is arrives, namespace.name
            while hears(listener):
                pass


@pytest.mark.parametrize("family", [0, 1])
def test_a_pod_sends_with_its_own_address_only(
    pods: tuple[Pod, Pod], nodes: tuple[Node, Node], family: int
) -> None:
    own, address = pods[0].addresses[family], pods[1].addresses[family]
    # The kernel's own check, which there is for IPv4 alone, is not what drops them.
    for node in nodes:
        node.run("sh", "-c", "for one in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $one; done")
    others = ["10.64.99.9", "192.0.2.2", "198.18.0.1"] if family == 0 else ["fd00:64::9999", "2001:db8::9"]
    for other in others:
        pods[0].run(
            "ip",
            "address",
            "add",
            f"{other}/{32 if family == 0 else 128}",
            "dev",
            "eth0",
            *["nodad"] * family,
        )
    with listening(pods[1], address) as listener:
        for source, arrives in [(own, True), *((other, False) for other in others)]:
            with sending_from(pods[0].namespace, source) as sending:
                for _ in range(3):
                    sending.sendto(b"hello", (address, PORT))
            assert hears(listener) is arrives, source
            while hears(listener):
                pass


def test_a_node_with_anothers_address_is_named_and_changes_nothing(
    fabric: Fabric, nodes: tuple[Node, Node], pods: tuple[Pod, Pod]
) -> None:
    other = fabric.node("node-3", fabric.switch("elsewhere", 2), "192.0.2.1")
    before = other.run("ip", "route")
    other.start()
    eventually(lambda: "node-1" in other.status().stdout)

    told = other.status()
    assert told.returncode == 1, told
    assert "192.0.2.1" in told.stdout
    assert other.run("ip", "route") == before
    assert not other.namespace.has_interface("vxlan.ipamd")
    assert pods[0].reaches(pods[1].addresses[0])
