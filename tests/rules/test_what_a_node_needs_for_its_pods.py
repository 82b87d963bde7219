"""What ipamd announces, and what the kernel of node-1 shall have for it."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from node_agent.pod_network.desired import LAST_METRIC, Conflict, Desired, Route, Through, compute, mac_of
from node_agent.pod_network.network import Mode, Network, Peer, Pool, Settings
from node_agent.pod_network.pairing import mode_of_pair
from tests.rules.pods import FOUR, SIX, network, peer

ONE, TWO = peer(1), peer(2)
BEHIND_ROUTER = peer(3, "198.51.100.3", "198.51.100.0/24")
ON_POINT_TO_POINT = peer(4, "192.0.2.4", "192.0.2.4/32")


@pytest.mark.parametrize(
    ("setting", "other", "answered", "mode"),
    [
        (Mode.AUTO, TWO, True, Mode.DIRECT),
        (Mode.AUTO, TWO, False, Mode.VXLAN),
        (Mode.AUTO, BEHIND_ROUTER, True, Mode.VXLAN),
        (Mode.AUTO, ON_POINT_TO_POINT, True, Mode.VXLAN),
        (Mode.DIRECT, TWO, False, Mode.DIRECT),
        (Mode.DIRECT, BEHIND_ROUTER, False, Mode.NONE),
        (Mode.VXLAN, TWO, True, Mode.VXLAN),
        (Mode.NONE, TWO, True, Mode.NONE),
    ],
)
def test_both_ends_of_a_pair_decide_alike(setting: Mode, other: Peer, answered: bool, mode: Mode) -> None:
    assert mode_of_pair(setting, ONE, other, answered=answered) is mode
    assert mode_of_pair(setting, other, ONE, answered=answered) is mode


def shown(found: Desired) -> set[str]:
    """The routes, as `ip route` would say them."""
    return {_said(one) for one in found.routes.values()}


def _said(one: Route) -> str:
    said = f"{one.prefix}"
    if one.through is Through.NOTHING:
        return f"blackhole {said}" + (" last" if one.metric == LAST_METRIC else "")
    said += f" via {one.gateway} {one.through.name.lower()} mtu {one.mtu}"
    return said if one.source is None else f"{said} src {one.source}"


OWN = {
    f"blackhole {FOUR} last",
    f"blackhole {SIX} last",
    "blackhole 10.64.1.0/26",
    "blackhole fd00:64::100/122",
}
# The next hop is link-local, made from the peer's MAC.
SIX_GATEWAY = "fe80::f410:d4ff:fe45:fd64"
SIX_BY_TUNNEL = f"fd00:64::200/122 via {SIX_GATEWAY} tunnel mtu 1450 src fd00:64::101"


@pytest.mark.parametrize(
    ("mode", "other", "answered", "routes"),
    [
        (
            Mode.AUTO,
            TWO,
            False,
            {*OWN, "10.64.2.0/26 via 10.64.2.1 tunnel mtu 1450 src 10.64.1.1", SIX_BY_TUNNEL},
        ),
        (Mode.AUTO, TWO, True, {*OWN, "10.64.2.0/26 via 192.0.2.2 uplink mtu 1500", SIX_BY_TUNNEL}),
        (Mode.DIRECT, TWO, False, {*OWN, "10.64.2.0/26 via 192.0.2.2 uplink mtu 1500"}),
        (Mode.DIRECT, BEHIND_ROUTER, False, OWN),
        (Mode.NONE, TWO, True, {"blackhole 10.64.1.0/26", "blackhole fd00:64::100/122"}),
        (
            Mode.AUTO,
            replace(TWO, mtu=1400, blocks=(), borrowed=(ip_network("10.64.1.9/32"),)),
            False,
            {*OWN, "10.64.1.9/32 via 10.64.2.1 tunnel mtu 1350 src 10.64.1.1"},
        ),
        (Mode.VXLAN, replace(TWO, mtu=9000, blocks=()), False, OWN),
    ],
)
def test_routes_by_mode(mode: Mode, other: Peer, answered: bool, routes: set[str]) -> None:
    found = compute(network(ONE, other, mode=mode), "node-1", {other.name} if answered else set())

    assert shown(found) == routes


def test_the_tunnel_knows_each_peer_by_its_addresses_among_pods() -> None:
    found = compute(network(ONE, TWO, BEHIND_ROUTER), "node-1", {"node-2"})

    assert {str(address): mac for address, mac in found.neighbours.items()} == {
        "10.64.2.1": TWO.mac, SIX_GATEWAY: TWO.mac,
        "10.64.3.1": BEHIND_ROUTER.mac, "fe80::2c4c:c8ff:fe3e:1510": BEHIND_ROUTER.mac,
    }  # fmt: skip
    assert found.forwarding == {TWO.mac: TWO.address, BEHIND_ROUTER.mac: BEHIND_ROUTER.address}
    assert found.tunnel is not None
    assert found.tunnel.addresses == set(ONE.pod_addresses)


@pytest.mark.parametrize(
    ("mode", "underlay", "mtu", "pods", "has_tunnel"),
    [
        (Mode.AUTO, 4, 1500, 1450, True),
        (Mode.VXLAN, 4, 9000, 8950, True),
        (Mode.AUTO, 6, 1500, 1430, True),
        (Mode.DIRECT, 4, 1500, 1500, False),
        (Mode.NONE, 4, 1500, 1500, False),
    ],
)
def test_the_mtu_of_pods(mode: Mode, underlay: int, mtu: int, pods: int, has_tunnel: bool) -> None:
    found = compute(network(peer(1, mtu=mtu), settings=Settings(mode, underlay)), "node-1", set())

    assert found.mtu == pods
    assert (found.tunnel is not None) is has_tunnel
    assert found.tunnel is None or found.tunnel.mtu == pods


def test_a_peer_keeps_pods_addresses_only_if_it_knows_the_way_back_without_a_tunnel() -> None:
    found = compute(network(ONE, TWO, BEHIND_ROUTER), "node-1", {"node-2"})

    assert found.filters.direct == {TWO.address}
    assert found.filters.tunnel_peers == {TWO.address, BEHIND_ROUTER.address}


def test_where_others_route_all_nodes_know_the_way_back() -> None:
    found = compute(network(ONE, TWO, BEHIND_ROUTER, mode=Mode.NONE), "node-1", set())

    assert found.filters.direct == {TWO.address, BEHIND_ROUTER.address}


def test_only_pools_that_say_so_are_masqueraded() -> None:
    pools = (Pool("a", ip_network("10.64.0.0/16"), True), Pool("b", ip_network("10.65.0.0/16"), False))

    found = compute(replace(network(ONE), pools=pools), "node-1", set())

    assert found.filters.pods == {ip_network("10.64.0.0/16"), ip_network("10.65.0.0/16")}
    assert found.filters.masqueraded == {ip_network("10.64.0.0/16")}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(TWO, address=ONE.address), "node node-2 is not reached: it has the same address 192.0.2.1"),
        (replace(TWO, mac=ONE.mac), "or MAC, as node node-1"),
        (replace(TWO, address=ip_address("2001:db8::2")), "is of another family than this node's 192.0.2.1"),
        (replace(TWO, pod_addresses=()), "10.64.2.0/26 is not reached: the node has no address of its own"),
        (replace(TWO, mtu=100), "packets in the tunnel have room for 50 bytes only"),
        (replace(TWO, blocks=ONE.blocks), "10.64.1.0/26 is announced of node node-2 and of another"),
    ],
)
def test_a_peer_that_contradicts_another_is_named_and_the_rest_stands(other: Peer, said: str) -> None:
    found = compute(network(ONE, other, BEHIND_ROUTER), "node-1", set())

    assert any(said in fault for fault in found.faults), found.faults
    assert found.routes[ip_network("10.64.3.0/26"), 0].through is Through.TUNNEL
    assert found.routes[ip_network("10.64.1.0/26"), 0].through is Through.NOTHING


@pytest.mark.parametrize(
    ("announced", "said"),
    [
        (network(peer(1, prefix="10.64.0.0/8")), r"pool v4 \(10.64.0.0/16\) overlaps 10.0.0.0/8"),
        (network(TWO), "ipamd announces no node node-1"),
    ],
)
def test_what_contradicts_the_node_itself_is_not_written(announced: Network, said: str) -> None:
    with pytest.raises(Conflict, match=said):
        compute(announced, "node-1", set())


def test_a_nodes_mac_is_always_the_same_and_of_no_vendor() -> None:
    macs = {mac_of(cluster, f"node-{number}") for cluster in ("a", "b") for number in range(1000)}

    assert len(macs) == 2000
    assert all(mac[0] & 0x03 == 0x02 for mac in macs)
    assert mac_of("default", "node-1").hex(":") == "1a:7d:be:05:79:ec"
