"""Which addresses and routes the main plugin makes of an IPAM plugin's answer, in both modes."""

from typing import Any

import pytest

from cni_plugin.failure import Failure
from veth_plugin import address, layout
from veth_plugin.configuration import Settings
from veth_plugin.decoding import decode
from veth_plugin.layout import Layout
from veth_plugin.result import Address, Route

V4 = {"address": "10.0.0.5/16", "gateway": "10.0.0.1"}
V6 = {"address": "fd00::5/64", "gateway": "fd00::1"}
LINK_V4 = "169.254.1.1/32 scope 253"
LINK_V6 = "fe80::1/128 scope 253"

Document = dict[str, Any]


def routed(ips: list[Document], routes: list[Document], **keys: Any) -> Layout:
    answer = decode({"cniVersion": "1.1.0", "ips": ips, "routes": routes})
    return layout.routed(answer, Settings(keys, "").gateways)


def bridged(ips: list[Document], routes: list[Document], **keys: Any) -> Layout:
    bridge = Settings({"mode": "bridge", **keys}, "").bridge
    assert bridge is not None
    return layout.bridged(decode({"cniVersion": "1.1.0", "ips": ips, "routes": routes}), bridge)


def addresses(found: list[Address]) -> list[str]:
    """ADDRESS/LENGTH via GATEWAY."""
    return [address.prefix_text(one.address, one.length) + _via(one.gateway) for one in found]


def routes(found: list[Route]) -> list[str]:
    """PREFIX/LENGTH via GATEWAY NUMBERS, as `ip route` has them."""
    return [
        address.prefix_text(one.destination, one.length)
        + _via(one.gateway)
        + "".join(f" {key} {value}" for key, value in one.numbers.items())
        for one in found
    ]


def _via(gateway: bytes | None) -> str:
    return "" if gateway is None else f" via {address.text(gateway)}"


def test_routed_knows_the_node_only() -> None:
    found = routed([V4, V6], [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00::1"}])

    assert addresses(found.addresses) == ["10.0.0.5/32 via 169.254.1.1", "fd00::5/128 via fe80::1"]
    assert addresses(found.gateways) == ["169.254.1.1/32", "fe80::1/128"]
    assert routes(found.routes) == [
        LINK_V4,
        LINK_V6,
        "10.0.0.0/16 via 169.254.1.1",
        "fd00::/64 via fe80::1",
        "0.0.0.0/0 via 169.254.1.1",
        "::/0 via fe80::1",
    ]
    assert routes(found.told) == ["0.0.0.0/0 via 169.254.1.1", "::/0 via fe80::1"]


def test_the_pools_are_the_prefixes_that_the_ipam_plugin_gave() -> None:
    second = {"address": "10.0.0.6/16"}

    for found in (routed([V4, second, V6], []), bridged([V4, second, V6], [])):
        assert [address.prefix_text(*pool) for pool in found.pools] == ["10.0.0.0/16", "fd00::/64"]


def test_routed_takes_the_gateways_that_are_configured() -> None:
    found = routed([V4], [{"dst": "10.9.0.0/16", "gw": "169.254.7.7"}], gateway=["169.254.7.7", "fe80::7"])

    assert addresses(found.gateways) == ["169.254.7.7/32"]
    assert routes(found.routes) == [
        "169.254.7.7/32 scope 253",
        "10.0.0.0/16 via 169.254.7.7",
        "10.9.0.0/16 via 169.254.7.7",
    ]


@pytest.mark.parametrize(
    ("ips", "given", "expected"),
    {
        "no gateway and no route": ([{"address": "10.0.0.5/16"}], [], ["10.0.0.0/16 via 169.254.1.1"]),
        "an address alone": ([{"address": "10.0.0.5/32"}], [], []),
        "a pool's own prefix is not said twice": (
            [V4],
            [{"dst": "10.0.0.0/16", "mtu": 1400}],
            ["10.0.0.0/16 via 169.254.1.1 mtu 1400"],
        ),
        "nor for two addresses": (
            [V4, {"address": "10.0.0.6/16"}],
            [],
            ["10.0.0.0/16 via 169.254.1.1"],
        ),
        "in a table of its own it is another": (
            [V4],
            [{"dst": "10.0.0.0/16", "table": 100}],
            ["10.0.0.0/16 via 169.254.1.1", "10.0.0.0/16 via 169.254.1.1 table 100"],
        ),
        "all numbers": (
            [V4],
            [{"dst": "0.0.0.0/0", "mtu": 1400, "advmss": 1360, "priority": 7, "table": 9}],
            [
                "10.0.0.0/16 via 169.254.1.1",
                "0.0.0.0/0 via 169.254.1.1 mtu 1400 advmss 1360 priority 7 table 9",
            ],
        ),
        "a route on the link": (
            [V4],
            [{"dst": "10.9.0.0/16", "scope": 253}],
            ["10.0.0.0/16 via 169.254.1.1", "10.9.0.0/16 scope 253"],
        ),
        "a route of a family without address": ([V4], [{"dst": "::/0"}], ["10.0.0.0/16 via 169.254.1.1"]),
    }.values(),
)
def test_routed_reaches_everything_through_the_node(
    ips: list[Document], given: list[Document], expected: list[str]
) -> None:
    assert routes(routed(ips, given).routes) == [LINK_V4, *expected]


@pytest.mark.parametrize(
    ("ips", "given", "said"),
    {
        "no address": ([], [], "the IPAM plugin gave no address"),
        "another gateway": (
            [V4],
            [{"dst": "10.9.0.0/16", "gw": "10.0.0.9"}],
            "route 10.9.0.0/16 via 10.0.0.9 of the IPAM plugin: in mode routed the node is the only gateway",
        ),
        "a gateway of the other family": (
            [V4, V6],
            [{"dst": "10.9.0.0/16", "gw": "fd00::1"}],
            "route 10.9.0.0/16 via fd00::1 of the IPAM plugin: the gateway is of the other family",
        ),
    }.values(),
)
def test_what_cannot_be_laid_out_is_refused(ips: list[Document], given: list[Document], said: str) -> None:
    with pytest.raises(Failure) as refused:
        routed(ips, given)

    assert (refused.value.code, refused.value.msg) == (7, said)


def test_a_bridge_that_is_no_gateway_has_no_address() -> None:
    found = bridged([{"address": "10.0.0.5/16"}], [{"dst": "10.9.0.0/16"}])

    assert addresses(found.addresses) == ["10.0.0.5/16"]
    assert found.gateways == []
    assert routes(found.routes) == routes(found.told) == ["10.9.0.0/16"]


def test_a_bridge_that_is_a_gateway_has_the_pools_or_the_prefixs_first_address() -> None:
    found = bridged([{"address": "10.0.0.5/16"}, {"address": "10.0.1.5/16"}, V6], [], isGateway=True)

    assert addresses(found.addresses) == [
        "10.0.0.5/16 via 10.0.0.1",
        "10.0.1.5/16 via 10.0.0.1",
        "fd00::5/64 via fd00::1",
    ]
    assert addresses(found.gateways) == ["10.0.0.1/16", "fd00::1/64"]
    assert found.routes == []


def test_routes_without_a_gateway_go_through_the_first_of_their_family() -> None:
    second = {"address": "10.1.0.5/16", "gateway": "10.1.0.1"}
    given: list[Document] = [
        {"dst": "0.0.0.0/0", "priority": 7},
        {"dst": "::/0"},
        {"dst": "10.9.0.0/16", "scope": 253},
    ]

    found = bridged([V4, second, V6], given)

    assert routes(found.routes) == [
        "0.0.0.0/0 via 10.0.0.1 priority 7",
        "::/0 via fd00::1",
        "10.9.0.0/16 scope 253",
    ]
    assert routes(found.told) == ["0.0.0.0/0 priority 7", "::/0", "10.9.0.0/16 scope 253"]


@pytest.mark.parametrize(
    ("given", "expected"),
    {
        "none yet": ([], ["0.0.0.0/0 via 10.0.0.1", "::/0 via fd00::1"]),
        "one through a gateway": (
            [{"dst": "0.0.0.0/0", "gw": "10.0.0.9"}],
            ["0.0.0.0/0 via 10.0.0.9", "::/0 via fd00::1"],
        ),
    }.values(),
)
def test_a_default_gateway_gives_default_routes(given: list[Document], expected: list[str]) -> None:
    found = bridged([V4, V6], given, isDefaultGateway=True)

    assert routes(found.told) == expected
    assert addresses(found.gateways) == ["10.0.0.1/16", "fd00::1/64"]


def test_a_gateway_outside_every_prefix_is_reached_on_the_link() -> None:
    outside = {"address": "10.0.0.5/32", "gateway": "10.0.9.1"}
    given = [{"dst": "0.0.0.0/0"}, {"dst": "10.8.0.0/16", "gw": "10.0.9.1"}, {"dst": "::/0", "gw": "fe80::9"}]

    found = bridged([outside, V6], given)

    assert routes(found.routes) == [
        "10.0.9.1/32 scope 253",
        "0.0.0.0/0 via 10.0.9.1",
        "10.8.0.0/16 via 10.0.9.1",
        "::/0 via fe80::9",
    ]
