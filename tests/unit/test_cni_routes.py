"""Which routes a result has: one for each destination, each with what it needs, in that order."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ipamd.cni.additions import Additions
from ipamd.cni.configuration import Configuration
from ipamd.cni.result import Results
from ipamd.cni.version import VERSIONS
from ipamd.models.outcome import Grant, Granted
from ipamd.models.pool import Pool, Route


def route(dst: str, gw: str | None = None, **numbers: int) -> Route:
    return Route(ip_network(dst), ip_address(gw) if gw is not None else None, **numbers)


def pool(subnet: str, *routes: Route, gateway: str | None = None, on_link: bool = False) -> Pool:
    network = ip_network(subnet)
    return Pool(
        name=subnet,
        subnet=network,
        gateway=ip_address(gateway) if gateway is not None else None,
        gateway_on_link=on_link,
        routes=routes,
        block_length=network.max_prefixlen,
    )


def answer(version: str, *pools: Pool, own: Additions | None = None) -> Any:
    grants = tuple(Grant(each.subnet[5 % each.subnet.num_addresses], each) for each in pools)
    return json.loads(Results(own or Additions()).encode(Granted(grants, repeated=False), version))


def routes_in(document: Any) -> list[Any]:
    families = [document[family].get("routes", []) for family in ("ip4", "ip6") if family in document]
    return [*document.get("routes", []), *(each for routes in families for each in routes)]


DEFAULT = route("0.0.0.0/0")
BY_OWN = route("0.0.0.0/0", "10.0.0.9")
IN_TABLE = route("0.0.0.0/0", "10.0.0.7", table=100)
LATER = route("0.0.0.0/0", "10.0.0.8", priority=5)


@pytest.mark.parametrize(
    ("pools", "own", "expected", "expected_before"),
    [
        ([(DEFAULT,)], (BY_OWN,), ["10.0.0.9"], ["10.0.0.9"]),
        ([(BY_OWN,)], (DEFAULT,), [None], [None]),
        ([(DEFAULT,)], (DEFAULT,), [None], [None]),
        ([(DEFAULT,), (BY_OWN,)], (), [None], [None]),
        ([(DEFAULT,), (BY_OWN,)], (LATER,), [None, "10.0.0.8"], [None]),
        ([(DEFAULT, IN_TABLE)], (), [None, "10.0.0.7"], [None]),
        ([(IN_TABLE, DEFAULT)], (), ["10.0.0.7", None], [None]),
        ([(DEFAULT,)], (IN_TABLE,), [None, "10.0.0.7"], [None]),
        ([(route("0.0.0.0/0", table=254, priority=0),)], (BY_OWN,), ["10.0.0.9"], ["10.0.0.9"]),
        ([()], (DEFAULT, BY_OWN), [None], [None]),
    ],
)
def test_for_one_destination_one_route_goes_out(
    pools: list[tuple[Route, ...]], own: tuple[Route, ...], expected: list[Any], expected_before: list[Any]
) -> None:
    """Of equals the configuration's, then the first. Before 1.1.0 no table can be said: one for a prefix."""
    granted = [pool(f"10.0.{at}.0/24", *routes, gateway="10.0.0.1") for at, routes in enumerate(pools)]
    additions = Configuration(
        {"ipam": {"routes": [_written(each) for each in own]}},
    ).additions

    for version, said in (("1.1.0", expected), ("1.0.0", expected_before), ("0.4.0", expected_before)):
        found = routes_in(answer(version, *granted, own=additions))
        assert [each.get("gw") for each in found] == said


def _written(each: Route) -> dict[str, Any]:
    numbers = {"table": each.table, "priority": each.priority}
    return {"dst": str(each.dst), "gw": str(each.gw) if each.gw else None, **numbers}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("subnet", "gateway", "everything"),
    [
        ("192.0.2.77/32", "192.0.2.1", "0.0.0.0/0"),
        ("10.40.1.0/24", "10.40.2.1", "0.0.0.0/0"),
        ("10.40.1.0/24", "169.254.1.1", "0.0.0.0/0"),
        ("2001:db8:5:333::/64", "2001:db8:5::1", "::/0"),
        ("2001:db8:5:333::7/128", "2001:db8:5::1", "::/0"),
    ],
)
def test_a_gateway_on_the_link_comes_with_a_route_to_it_before_those_through_it(
    version: str, subnet: str, gateway: str, everything: str
) -> None:
    alone = str(ip_network(gateway))
    granted = pool(subnet, route(everything), gateway=gateway, on_link=True)

    document = answer(version, granted)

    assert routes_in(document) == [{"dst": alone, "scope": 253}, {"dst": everything, "gw": gateway}]
    # A gateway beside the address would be taken for the route to it, too.
    assert '"gateway"' not in json.dumps(document)


def test_every_gateway_outside_the_subnet_gets_its_route_once_and_those_inside_none() -> None:
    granted = pool(
        "10.40.1.0/24",
        route("10.0.0.0/8", "10.40.1.9"),
        route("172.16.0.0/12", "10.40.2.7", priority=3),
        route("0.0.0.0/0"),
        gateway="10.40.2.1",
        on_link=True,
    )
    own = Additions((route("192.168.0.0/16"), route("192.0.2.0/24", "10.40.2.7")))

    assert answer("1.1.0", granted, own=own)["routes"] == [
        {"dst": "10.40.2.1/32", "scope": 253},
        {"dst": "10.40.2.7/32", "scope": 253},
        {"dst": "10.0.0.0/8", "gw": "10.40.1.9"},
        {"dst": "172.16.0.0/12", "gw": "10.40.2.7", "priority": 3},
        {"dst": "0.0.0.0/0", "gw": "10.40.2.1"},
        {"dst": "192.168.0.0/16", "gw": "10.40.2.1"},
        {"dst": "192.0.2.0/24", "gw": "10.40.2.7"},
    ]


def test_a_route_to_the_gateway_that_an_admin_states_is_not_doubled() -> None:
    stated = route("10.40.2.1/32", scope=253)
    granted = pool("10.40.1.0/24", route("0.0.0.0/0"), stated, gateway="10.40.2.1", on_link=True)

    assert [each["dst"] for each in answer("1.1.0", granted)["routes"]] == ["10.40.2.1/32", "0.0.0.0/0"]


def test_a_link_local_gateway_of_ipv6_needs_no_route_and_stands_beside_the_address() -> None:
    granted = pool("fd00::/64", route("::/0"), gateway="fe80::1", on_link=True)

    document = answer("1.0.0", granted)

    assert document["ips"][0]["gateway"] == "fe80::1"
    assert document["routes"] == [{"dst": "::/0"}]


@pytest.mark.parametrize(
    ("routes", "gateway", "on_link", "expected"),
    [
        ((DEFAULT,), "10.0.0.1", False, []),
        ((DEFAULT,), None, False, []),
        ((BY_OWN,), "10.0.0.1", False, [{"dst": "0.0.0.0/0", "gw": "10.0.0.9"}]),
        ((IN_TABLE, DEFAULT), "10.0.0.1", False, [{"dst": "0.0.0.0/0", "gw": "10.0.0.7", "table": 100}]),
        ((route("10.1.0.0/16"),), "10.0.0.1", False, [{"dst": "10.1.0.0/16"}]),
        (
            (),
            "10.9.0.1",
            True,
            [{"dst": "10.9.0.1/32", "scope": 253}, {"dst": "0.0.0.0/0", "gw": "10.9.0.1"}],
        ),
    ],
)
def test_a_main_plugin_that_makes_the_default_routes_gets_none_that_it_would_make_again(
    routes: tuple[Route, ...], gateway: str | None, on_link: bool, expected: list[Any]
) -> None:
    granted = pool("10.0.0.0/24", *routes, gateway=gateway, on_link=on_link)
    own = Configuration({"type": "bridge", "isDefaultGateway": True, "ipam": {}}).additions

    assert answer("1.1.0", granted, own=own).get("routes", []) == expected
