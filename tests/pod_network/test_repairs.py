"""What is missing or wrong in the kernel is put right in one pass, and what is others' is left alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from netlink import nftables
from netlink.connection import NETFILTER
from node_agent.pod_network.desired import Desired, compute
from node_agent.pod_network.filters import TABLE
from node_agent.pod_network.network import Mode, Network, Settings
from node_agent.pod_network.writing import Kernel, Outcome
from tests.network.kernel import connect
from tests.network.namespace import Namespace
from tests.pod_network.inside import inside
from tests.rules.pods import network, peer

WHOLE = network(peer(1), peer(2), peer(3, "198.51.100.3", "198.51.100.0/24", borrowed=("10.64.1.9/32",)))
TUNNEL = "vxlan.ipamd"
EXCEPTED = ip_network("10.0.0.0/8")
MAC_OF_3 = WHOLE.nodes["node-3"].mac.hex(":")


class Pass:
    """One agent's passes over the kernel of a node."""

    def __init__(self, node: Namespace) -> None:
        self._node = node
        self._kernel = Kernel()

    def __call__(
        self, announced: Network = WHOLE, answered: frozenset[str] = frozenset({"node-2"})
    ) -> Outcome:
        wanted: Desired = compute(announced, "node-1", answered)
        return inside(self._node, lambda: self._kernel.apply(wanted))


@pytest.fixture
def make_pass(node: Namespace) -> Pass:
    return Pass(node)


def state(node: Namespace) -> dict[str, Any]:
    """All routes, links, addresses, neighbours and forwarding entries, as `ip` and `bridge` tell them."""
    asked = {
        "routes": ("ip", "-j", "-d", "route"),
        "routes6": ("ip", "-j", "-d", "-6", "route"),
        "neighbours": ("ip", "-j", "neighbour", "show", "nud", "permanent"),
        "forwarding": ("bridge", "-j", "fdb", "show", "dev", TUNNEL),
    }
    return {
        name: sorted(map(str, json.loads(node.run(*command) or "[]"))) for name, command in asked.items()
    } | {"addresses": node.addresses(TUNNEL)}


def test_a_second_pass_changes_nothing(node: Namespace, make_pass: Pass) -> None:
    first = make_pass()
    before = state(node)
    second = make_pass()

    assert (first.faults, second.faults, second.changes) == ([], [], [])
    assert first.wanted == first.there == 9
    assert state(node) == before
    routes = {one["dst"]: one for one in json.loads(node.run("ip", "-j", "-d", "route"))}
    assert routes["10.64.2.0/26"]["gateway"] == "192.0.2.2"
    assert (routes["10.64.3.0/26"]["dev"], routes["10.64.3.0/26"]["prefsrc"]) == (TUNNEL, "10.64.1.1")
    assert routes["10.64.3.0/26"]["metrics"] == [{"mtu": 1450}]
    assert routes["10.64.1.9"]["gateway"] == "10.64.3.1"


MOVING = {"10.64.1.9": "192.0.2.2", "fd00:64::109": TUNNEL}
"""Addresses of this node's blocks that a container of node 2 has, and what leads there."""
MOVED = network(peer(1), peer(2, borrowed=("10.64.1.9/32", "fd00:64::109/128")))


def way_to(node: Namespace, address: str) -> str:
    return node.run("ip", "route", "get", address)


def add_container(node: Namespace, address: str) -> None:
    """Add a pair and a route as the plugin does: refused if another route stands in the way."""
    node.run("ip", "link", "add", "host0", "up", "type", "veth", "peer", "inside0")
    node.run("ip", "link", "set", "inside0", "up")
    node.run("ip", "route", "add", address, "dev", "host0", "proto", "150")


@pytest.mark.parametrize("address", MOVING)
def test_a_container_whose_address_comes_from_another_node_begins_before_the_agent_has_heard(
    node: Namespace, make_pass: Pass, address: str
) -> None:
    make_pass(MOVED)
    assert MOVING[address] in way_to(node, address)

    add_container(node, address)
    assert "dev host0" in way_to(node, address)
    make_pass(MOVED)
    assert "dev host0" in way_to(node, address)
    make_pass(network(peer(1), peer(2)))
    assert "dev host0" in way_to(node, address)


@pytest.mark.parametrize("address", MOVING)
def test_a_container_that_has_moved_is_reached_here_until_it_ends_here(
    node: Namespace, make_pass: Pass, address: str
) -> None:
    add_container(node, address)

    assert make_pass(MOVED).faults == []
    assert "dev host0" in way_to(node, address)
    node.run("ip", "link", "delete", "host0")

    assert MOVING[address] in way_to(node, address)


def test_the_agent_that_starts_anew_changes_no_route(node: Namespace, make_pass: Pass) -> None:
    make_pass()
    before = state(node)

    again = Pass(node)()

    assert state(node) == before
    assert again.changes == ["wrote the packet filters"]


@pytest.mark.parametrize(
    "fault",
    [
        "ip route delete 10.64.2.0/26",
        "ip route replace 10.64.2.0/26 via 192.0.2.77",
        "ip route replace 10.64.3.0/26 via 10.64.2.1 dev vxlan.ipamd onlink proto 151",
        "ip route replace 10.64.3.0/26 via 10.64.3.1 dev vxlan.ipamd onlink proto 151 mtu 1000 src 10.64.1.1",
        "ip route replace 10.64.1.0/26 dev eth0",
        "ip -6 route replace fd00:64::200/122 dev eth0 metric 1024",
        "ip route flush table main proto 151",
        "ip -6 route flush table main proto 151",
        "ip link delete vxlan.ipamd",
        "ip link set vxlan.ipamd down",
        "ip link set vxlan.ipamd mtu 1300",
        "ip link set vxlan.ipamd address 02:00:00:00:00:77",
        "ip link set vxlan.ipamd down; ip link set vxlan.ipamd name other; ip link set other up",
        "ip link delete vxlan.ipamd; ip link add vxlan.ipamd type vxlan id 5 dstport 9 local 192.0.2.1",
        "ip address delete 10.64.1.1/32 dev vxlan.ipamd",
        "ip -6 address delete fd00:64::101/128 dev vxlan.ipamd",
        "ip address flush dev vxlan.ipamd",
        "ip address add 10.99.0.1/24 dev vxlan.ipamd",
        "ip neighbour replace 10.64.3.1 lladdr 02:00:00:00:00:77 dev vxlan.ipamd nud permanent",
        "ip neighbour replace 10.64.3.1 lladdr 02:00:00:00:00:77 dev vxlan.ipamd nud reachable",
        "ip neighbour flush dev vxlan.ipamd nud permanent",
        "ip neighbour add 10.64.9.1 lladdr 02:00:00:00:00:77 dev vxlan.ipamd nud permanent",
        f"bridge fdb replace {MAC_OF_3} dst 192.0.2.99 dev vxlan.ipamd self",
        f"bridge fdb delete {MAC_OF_3} dev vxlan.ipamd self",
        "bridge fdb append 00:00:00:00:00:00 dst 192.0.2.99 dev vxlan.ipamd self",
        "ip link set eth0 down; ip link set eth0 up; ip address replace 2001:db8::1/64 dev eth0 nodad",
        "ip address delete 192.0.2.1/24 dev eth0; ip address add 192.0.2.1/24 dev eth0",
    ],
)
def test_a_fault_is_repaired(node: Namespace, make_pass: Pass, fault: str) -> None:
    make_pass()
    before = state(node)
    node.run("sh", "-ec", fault)

    repaired = make_pass()

    assert repaired.changes
    assert repaired.faults == []
    after = state(node)
    # A device made anew has another number, and is named by none.
    assert after == before
    assert make_pass().changes == []


@pytest.mark.parametrize(
    "sabotage",
    [
        [TABLE.delete()],
        [TABLE.flush_chain("network_postrouting")],
        [TABLE.flush_chain("network_input")],
        [TABLE.flush_set("network_peers4")],
        [TABLE.flush_set("network_pods4")],
    ],
    ids=["table", "masquerade", "closed port", "peers", "pods"],
)
def test_packet_filters_are_put_back(node: Namespace, make_pass: Pass, sabotage: list[Any]) -> None:
    make_pass()
    filters = connect(node, NETFILTER)
    answers = filters.transaction(nftables.transaction(sabotage))
    filters.close()
    assert all(one.refusal is None for one in answers)

    repaired = make_pass()

    assert repaired.changes
    assert repaired.faults == []
    assert make_pass().changes == []


def test_what_is_others_is_left_alone(node: Namespace, make_pass: Pass) -> None:
    node.run("ip", "route", "add", "10.64.7.0/26", "via", "192.0.2.77")
    node.run("ip", "route", "add", "203.0.113.0/24", "via", "192.0.2.77", "proto", "150")
    node.run("ip", "route", "add", "10.64.2.0/26", "via", "192.0.2.77", "metric", "7")
    node.run(
        "ip", "link", "add", "theirs", "type", "vxlan", "id", "9", "dstport", "4789", "local", "192.0.2.1"
    )
    node.run("ip", "neighbour", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0")
    before = {*node.run("ip", "route").splitlines()}

    make_pass()
    make_pass(network(peer(1)))

    after = {*node.run("ip", "route").splitlines()}
    assert before <= after
    assert node.has_interface("theirs")
    assert "192.0.2.9" in node.run("ip", "neighbour", "show", "dev", "eth0")


def moved(announced: Network, name: str, **changes: Any) -> Network:
    return replace(announced, nodes={**announced.nodes, name: replace(announced.nodes[name], **changes)})


@pytest.mark.parametrize(
    "next_state",
    [
        lambda: moved(WHOLE, "node-3", address=ip_address("203.0.113.3")),
        lambda: moved(WHOLE, "node-3", mac=bytes.fromhex("020000000033")),
        lambda: moved(WHOLE, "node-3", pod_addresses=(ip_address("10.64.3.7"), ip_address("fd00:64::307"))),
        lambda: moved(WHOLE, "node-1", pod_addresses=(ip_address("10.64.1.7"), ip_address("fd00:64::107"))),
        lambda: moved(moved(WHOLE, "node-1", blocks=()), "node-3", blocks=WHOLE.nodes["node-1"].blocks),
        lambda: moved(
            moved(WHOLE, "node-3", address=WHOLE.nodes["node-2"].address),
            "node-2",
            address=WHOLE.nodes["node-3"].address,
        ),
        lambda: network(*WHOLE.nodes.values(), settings=Settings(port=9999, vni=77)),
        lambda: network(*WHOLE.nodes.values(), settings=Settings(check_sources=False)),
        lambda: network(*WHOLE.nodes.values(), settings=Settings(masquerade_except=(EXCEPTED,))),
        lambda: network(*WHOLE.nodes.values(), mode=Mode.VXLAN),
        lambda: network(*WHOLE.nodes.values(), mode=Mode.DIRECT),
        lambda: network(*WHOLE.nodes.values(), mode=Mode.NONE),
        lambda: network(WHOLE.nodes["node-1"]),
    ],
    ids=[
        "peer's address", "peer's MAC", "peer's addresses among pods", "own addresses among pods", "block",
        "swap", "settings", "no check", "excepted", "vxlan", "direct", "none", "alone",
    ],
)  # fmt: skip
def test_what_changes_ends_where_a_new_node_begins(
    node: Namespace, make_pass: Pass, next_state: Callable[[], Network]
) -> None:
    """The state after a change is that of a node which never saw the one before."""
    make_pass()
    changed = make_pass(next_state())
    after = state_if_any(node)
    for command in (
        "ip link delete vxlan.ipamd || true",
        "ip route flush proto 151",
        "ip -6 route flush proto 151",
    ):
        node.run("sh", "-c", command)
    make_pass(next_state())

    assert changed.changes
    assert after == state_if_any(node)


def state_if_any(node: Namespace) -> dict[str, Any]:
    if node.has_interface(TUNNEL):
        return state(node)
    return {"routes": sorted(map(str, json.loads(node.run("ip", "-j", "-d", "route"))))}


def test_the_tunnel_has_ipv6_where_new_devices_have_none(node: Namespace, make_pass: Pass) -> None:
    node.sysctl("net/ipv6/conf/default/disable_ipv6", "1")

    outcome = make_pass()

    assert outcome.faults == []
    assert node.addresses(TUNNEL) == {"10.64.1.1/32", "fd00:64::101/128"}


def test_an_uplink_whose_address_went_is_named(node: Namespace, make_pass: Pass) -> None:
    make_pass()
    node.run("ip", "address", "delete", "192.0.2.1/24", "dev", "eth0")

    outcome = make_pass()

    assert "this node's address 192.0.2.1 is on none of its links" in outcome.faults
    assert outcome.there < outcome.wanted


def test_a_vni_of_somebody_elses_is_named_and_their_device_left(node: Namespace, make_pass: Pass) -> None:
    node.run(
        "ip", "link", "add", "theirs", "type", "vxlan", "id", "8751", "dstport", "8751", "local", "192.0.2.1"
    )

    outcome = make_pass()

    assert any("VNI 8751 is of device theirs already" in fault for fault in outcome.faults), outcome.faults
    assert node.has_interface("theirs")


def test_a_device_of_the_name_that_is_no_tunnel_is_left(node: Namespace, make_pass: Pass) -> None:
    node.run("ip", "link", "add", TUNNEL, "type", "bridge")

    outcome = make_pass()

    assert any("is no vxlan device" in fault for fault in outcome.faults), outcome.faults
    assert node.has_interface(TUNNEL)
