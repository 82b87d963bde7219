"""What an IPAM plugin's result can say takes effect in the container, in both modes, and CHECK sees it."""

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import answers, routes, shown, wire
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

ADDRESSES = ("10.5.0.7/24", "10.6.0.7/24", "fd05::7/64", "fd06::7/64")
ROUTES: list[Document] = [
    {"dst": "0.0.0.0/0", "mtu": 1300, "advmss": 1200},
    {"dst": "198.51.100.0/24", "priority": 77},
    {"dst": "203.0.113.0/24", "table": 4711},
    {"dst": "192.0.2.128/25", "scope": 0},
    {"dst": "::/0", "mtu": 1400, "priority": 9},
    {"dst": "fd99::/48", "table": 4711, "advmss": 1220},
]


@pytest.fixture(autouse=True)
def told(third_party: ThirdParty, node: Namespace, make_namespace: MakeNamespace) -> None:
    wire(node, make_namespace("beyond"))
    ips = [{"address": one, "gateway": one.partition("7/")[0] + "1"} for one in ADDRESSES]
    third_party.answers("ADD", {"cniVersion": "1.1.0", "ips": ips, "routes": ROUTES})


def test_addresses_and_routes_stand_as_the_result_says(
    plugin: MainPlugin, node: Namespace, container: Namespace
) -> None:
    result = plugin.add(plugin.config(cniVersion="1.1.0"))

    lengths = {"routed": ("/32", "/32", "/128", "/128")}.get(plugin.network.get("mode", "routed"))
    wanted = [one.partition("/")[0] for one in ADDRESSES]
    assert {one["address"] for one in result["ips"]} == container.addresses("eth0")
    if lengths is None:
        assert container.addresses("eth0") == set(ADDRESSES)
    else:
        assert container.addresses("eth0") == {a + n for a, n in zip(wanted, lengths, strict=True)}
    for one in wanted:
        assert answers(node, one), one
    found = {one["dst"]: one for one in routes(container) if "gateway" in one}
    [four] = shown(container, "-4", "route", "show", "default")
    [six] = shown(container, "-6", "route", "show", "default")
    assert four["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert (six["metrics"], six["metric"]) == ([{"mtu": 1400}], 9)
    assert found["198.51.100.0/24"]["metric"] == 77
    assert "192.0.2.128/25" in found
    [by_table] = shown(container, "-4", "route", "show", "table", "4711")
    assert by_table["dst"] == "203.0.113.0/24"
    [by_table] = shown(container, "-6", "route", "show", "table", "4711")
    assert (by_table["dst"], by_table["metrics"]) == ("fd99::/48", [{"advmss": 1220}])
    ended = plugin.call("CHECK", plugin.config(cniVersion="1.1.0", prevResult=result))
    assert ended.code == 0, ended
    container.run("ip", "route", "del", "203.0.113.0/24", "table", "4711")
    error = plugin.call("CHECK", plugin.config(cniVersion="1.1.0", prevResult=result)).error
    assert "203.0.113.0/24" in error["msg"]


def test_a_route_of_link_scope_needs_no_gateway(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    on_link = [{"dst": "203.0.113.0/24", "scope": 253}]
    third_party.answers(
        "ADD", {"cniVersion": "1.1.0", "ips": [{"address": "10.5.0.7/24"}], "routes": on_link}
    )

    plugin.add(plugin.config(cniVersion="1.1.0"))

    [found] = [one for one in routes(container) if one["dst"] == "203.0.113.0/24"]
    assert (found["scope"], found.get("gateway")) == ("link", None)


def test_an_address_that_another_on_the_bridge_has_is_found(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, make_namespace: MakeNamespace
) -> None:
    plugin.network |= {"mode": "bridge", "isGateway": True, "enabledad": True}
    third_party.answers("ADD", {"cniVersion": "1.0.0", "ips": [{"address": "fd05::7/64"}]})
    plugin.add()
    [eth0] = shown(container, "-6", "address", "show", "dev", "eth0")
    assert not any("tentative" in each for each in eth0["addr_info"])
    second = make_namespace("second")

    error = plugin.call("ADD", CNI_CONTAINERID="second", CNI_NETNS=str(second.path)).error

    assert (error["code"], "another on the bridge has fd05::7/64 already" in error["msg"]) == (7, True)
    assert not second.has_interface("eth0")
    assert third_party.calls == ["ADD", "ADD", "DEL"]
