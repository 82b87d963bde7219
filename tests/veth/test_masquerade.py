"""What leaves a network's pools is masqueraded in both families, and an ADD writes nothing for it."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from netlink import nftables
from netlink.connection import NETFILTER, Connection
from netlink.message import Request
from tests.network.kernel import connect, socket_in
from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import BEYOND, NODE, answers, elements
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

_GET_GENERATION = 10 << 8 | 16


def answer(last: int, prefix: str = "10.5.0", prefix6: str = "fd05") -> Document:
    return {
        "cniVersion": "1.0.0",
        "ips": [{"address": f"{prefix}.{last}/24"}, {"address": f"{prefix6}::{last}/64"}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    kinds: dict[str, Document] = {"routed": {}, "bridge": {"mode": "bridge", "isDefaultGateway": True}}
    return {**kinds[request.param], "ipMasq": True}


@pytest.fixture(autouse=True)
def dual(third_party: ThirdParty, beyond: Namespace) -> None:
    third_party.answers("ADD", answer(7))


@pytest.fixture
def filters(node: Namespace) -> Iterator[Connection]:
    connection = connect(node, NETFILTER)
    yield connection
    connection.close()


def generation(filters: Connection) -> bytes:
    """What the kernel counts up with every change of a packet filter."""
    [told] = filters.exchange([Request(_GET_GENERATION, 0, bytes(4))])
    return told.messages[0].body[:12]


def local(node: Namespace, family: int) -> list[tuple[bytes, bytes | None, str]]:
    return elements(node, nftables.INET, f"veth_local{family}")


def changed(plugin: MainPlugin, **of_bridge: Any) -> Document:
    """The network, with changes that concern a bridge where it has one."""
    return plugin.config(**of_bridge) if plugin.network.get("mode") == "bridge" else plugin.config()


def test_both_families_are_answered_from_beyond_with_the_first_packet(
    plugin: MainPlugin, container: Namespace
) -> None:
    plugin.add()

    for target in BEYOND:
        assert answers(container, target)


def test_neighbours_in_the_network_see_the_containers_own_address(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, make_namespace: MakeNamespace
) -> None:
    plugin.add()
    second = make_namespace("second")
    third_party.answers("ADD", answer(8))
    plugin.add(CNI_CONTAINERID="second", CNI_NETNS=str(second.path))
    # Whoever is not masqueraded is answered only by one who has a route to its own address.
    for prefix in ("10.5.0.7/32", "fd05::7/128"):
        second.run("ip", "route", "add", "unreachable", prefix)

    for target in ("10.5.0.8", "fd05::8"):
        assert not answers(container, target, within=1)


def test_an_add_writes_nothing_where_its_pool_is_known(
    plugin: MainPlugin, third_party: ThirdParty, make_namespace: MakeNamespace, filters: Connection
) -> None:
    plugin.add()
    before = generation(filters)
    second = make_namespace("second")
    third_party.answers("ADD", answer(8))

    plugin.add(CNI_CONTAINERID="second", CNI_NETNS=str(second.path))
    assert plugin.call("DEL", CNI_CONTAINERID="second").code == 0

    assert generation(filters) == before


def test_a_second_pool_of_the_network_is_its_own_too(
    plugin: MainPlugin, third_party: ThirdParty, make_namespace: MakeNamespace, node: Namespace
) -> None:
    plugin.add()
    third_party.answers("ADD", answer(9, "10.6.0", "fd06"))
    second = make_namespace("second")

    plugin.add(changed(plugin, bridge="br6"), CNI_CONTAINERID="second", CNI_NETNS=str(second.path))

    ends = [(bytes([10, n, 0, 0]), bytes([10, n, 0, 255])) for n in (5, 6)]
    wanted = [(one[0] + other[0], one[1] + other[1], "pods") for one in ends for other in ends]
    assert local(node, 4) == sorted(wanted)
    assert len(local(node, 6)) == 4


def test_a_pool_that_grows_takes_the_place_of_what_it_was(
    plugin: MainPlugin, third_party: ThirdParty, filters: Connection, node: Namespace
) -> None:
    plugin.add()
    assert plugin.call("DEL").code == 0
    larger: Any = answer(7)
    larger["ips"][0]["address"] = "10.5.0.7/16"
    third_party.answers("ADD", larger)

    plugin.add(changed(plugin, forceAddress=True))
    before = generation(filters)
    assert plugin.call("DEL").code == 0
    plugin.add(changed(plugin, forceAddress=True))

    assert local(node, 4) == [(bytes([10, 5, 0, 0]) * 2, bytes([10, 5, 255, 255]) * 2, "pods")]
    assert generation(filters) == before


def test_what_kube_proxy_marked_is_left_to_it(
    plugin: MainPlugin, node: Namespace, container: Namespace, filters: Connection
) -> None:
    plugin.add()
    assert answers(container, BEYOND[0])

    node.run("iptables-nft", "-t", "mangle", "-A", "FORWARD", "-j", "MARK", "--or-mark", "0x4000")

    assert not answers(container, BEYOND[0], within=1), "nobody masquerades it: kube-proxy is not here"


def test_a_network_without_it_is_left_alone(plugin: MainPlugin, container: Namespace) -> None:
    plugin.add(plugin.config(ipMasq=False))

    assert not answers(container, BEYOND[0], within=1)


def test_what_the_node_itself_sends_keeps_its_source(
    plugin: MainPlugin, node: Namespace, beyond: Namespace
) -> None:
    plugin.add()

    for number, (family, source, target) in enumerate(
        ((socket.AF_INET, NODE[0], BEYOND[0]), (socket.AF_INET6, NODE[1], BEYOND[1]))
    ):
        with (
            socket_in(node, family, socket.SOCK_DGRAM) as sending,
            socket_in(beyond, family, socket.SOCK_DGRAM) as receiving,
        ):
            receiving.bind((target, 9000 + number))
            receiving.settimeout(5)
            sending.bind((source, 5000 + number))
            sending.sendto(b"a word", (target, 9000 + number))
            _, seen = receiving.recvfrom(100)
        assert seen[:2] == (source, 5000 + number)


def test_what_passes_a_bridge_of_others_keeps_its_source(
    plugin: MainPlugin, node: Namespace, make_namespace: MakeNamespace
) -> None:
    plugin.add()
    node.run("ip", "link", "add", "others", "type", "bridge")
    node.run("ip", "link", "set", "others", "up")
    guests = [make_namespace("guest-1"), make_namespace("guest-2")]
    for number, guest in enumerate(guests, 1):
        port = f"port{number}"
        node.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", guest.name)
        node.run("ip", "link", "set", port, "master", "others", "up")
        guest.run("ip", "link", "set", "eth0", "up")
        guest.run("ip", "address", "add", f"10.99.0.{number}/24", "dev", "eth0")

    guests[0].ping("10.99.0.2")


def test_gc_takes_the_pools_of_a_network_without_containers(
    plugin: MainPlugin, node: Namespace, container: Namespace
) -> None:
    newest = plugin.config(cniVersion="1.1.0")
    plugin.add(newest)

    assert plugin.call("GC", newest | {"cni.dev/valid-attachments": []}).code == 0

    assert local(node, 4) == local(node, 6) == []
    assert not container.has_interface("eth0")
