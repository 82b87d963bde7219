"""Mode routed: the node is the only neighbour, and everything is ready when ADD returns."""

from pathlib import Path
from typing import Any

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import BEYOND, NODE, answers, routes, shown, wire
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

DUAL: Document = {
    "cniVersion": "1.0.0",
    "ips": [{"address": "10.5.0.7/24"}, {"address": "fd05::7/64"}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
OTHER: Document = {**DUAL, "ips": [{"address": "10.5.0.8/24"}, {"address": "fd05::8/64"}]}


@pytest.fixture
def mode() -> Document:
    return {}


@pytest.fixture
def beyond(beyond: Namespace) -> Namespace:
    """It has routes to the containers."""
    for prefix, gateway in (("10.5.0.0/16", NODE[0]), ("fd05::/32", NODE[1])):
        beyond.run("ip", "route", "add", prefix, "via", gateway)
    return beyond


@pytest.fixture(autouse=True)
def dual(third_party: ThirdParty) -> None:
    third_party.answers("ADD", DUAL)


@pytest.fixture
def second(plugin: MainPlugin, third_party: ThirdParty, make_namespace: MakeNamespace) -> Namespace:
    """A second container in the same network."""
    namespace = make_namespace("second")
    third_party.answers("ADD", OTHER)
    plugin.add(CNI_CONTAINERID="second", CNI_NETNS=str(namespace.path))
    third_party.answers("ADD", DUAL)
    return namespace


def host_side(node: Namespace) -> Any:
    [one] = [each for each in shown(node, "link", "show") if each["ifname"].startswith("ipamd")]
    return one


def test_both_ends_stand_as_the_result_says(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    result = plugin.add()

    outside, inside = result["interfaces"]
    assert (inside["name"], inside["sandbox"]) == ("eth0", str(container.path))
    assert host_side(node)["ifname"] == outside["name"]
    assert host_side(node)["address"] == outside["mac"]
    assert host_side(node)["ifalias"] == f"pods/web/eth0 {inside['mac']} 10.5.0.7 fd05::7"
    [eth0] = shown(container, "link", "show", "eth0")
    assert (eth0["address"], eth0["mtu"], eth0["operstate"]) == (inside["mac"], 1500, "UP")
    assert container.addresses("eth0") == {"10.5.0.7/32", "fd05::7/128"}


def test_the_node_has_a_route_with_its_own_address_as_source(
    plugin: MainPlugin, node: Namespace, beyond: Namespace
) -> None:
    name = plugin.add()["interfaces"][0]["name"]

    found = {one["dst"]: (one["dev"], one["prefsrc"]) for one in routes(node) if one["dev"] == name}

    assert found == {"10.5.0.7": (name, NODE[0]), "fd05::7": (name, NODE[1])}


def test_the_gateway_is_link_local_on_the_host_side_and_a_permanent_neighbour(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    outside, inside = plugin.add()["interfaces"]

    gateways = {
        (each["local"], each["scope"])
        for one in shown(node, "address", "show", "dev", outside["name"])
        for each in one["addr_info"]
    }
    assert gateways == {("169.254.1.1", "link"), ("fe80::1", "link")}
    for namespace, wanted in (
        (node, {"10.5.0.7": inside["mac"], "fd05::7": inside["mac"]}),
        (container, {"169.254.1.1": outside["mac"], "fe80::1": outside["mac"]}),
    ):
        found = {
            one["dst"]: one["lladdr"]
            for one in shown(namespace, "neigh", "show")
            if "PERMANENT" in one["state"]
        }
        assert found == wanted


def test_link_local_sources_are_answered_on_both_sides(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    [own] = [
        each["local"]
        for one in shown(container, "-6", "address", "show", "dev", "eth0")
        for each in one["addr_info"]
        if each["scope"] == "link"
    ]

    assert answers(container, "fe80::1%eth0", "-I", f"{own}%eth0")
    assert answers(node, f"{own}%{name}", "-I", f"fe80::1%{name}")


def test_the_container_reaches_node_neighbour_and_what_is_beyond_with_its_first_packet(
    plugin: MainPlugin, node: Namespace, container: Namespace, second: Namespace, beyond: Namespace
) -> None:
    for target in (*NODE, *BEYOND, "10.5.0.8", "fd05::8"):
        plugin.add()

        assert answers(container, target), target

        assert plugin.call("DEL").code == 0


def test_the_first_packet_from_each_side_is_answered_every_time(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    for number in range(10):
        plugin.add()

        asking, target = ((node, "fd05::7"), (node, "10.5.0.7"), (beyond, "fd05::7"), (beyond, "10.5.0.7"))[
            number % 4
        ]
        assert answers(asking, target), (number, target)

        assert plugin.call("DEL").code == 0


def test_packets_as_large_as_the_mtu_pass(
    plugin: MainPlugin, container: Namespace, node: Namespace, make_namespace: MakeNamespace
) -> None:
    host = make_namespace("beyond")
    wire(node, host, mtu=1400)
    host.run("ip", "route", "add", "10.5.0.0/16", "via", NODE[0])
    plugin.add()

    assert shown(container, "link", "show", "eth0")[0]["mtu"] == 1400
    assert host_side(node)["mtu"] == 1400
    assert answers(container, BEYOND[0], "-M", "do", "-s", str(1400 - 28))
    assert not answers(container, BEYOND[0], "-M", "do", "-s", str(1400 - 27))


def test_a_node_that_is_strict_about_arp_and_sources_changes_nothing(
    plugin: MainPlugin, node: Namespace, container: Namespace, second: Namespace, beyond: Namespace
) -> None:
    for key, value in (("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "1")):
        for scope in ("all", "default"):
            node.sysctl(f"net/ipv4/conf/{scope}/{key}", value)
    name = plugin.add()["interfaces"][0]["name"]
    # Neighbours vanish with the link; what is left is learned by ARP and neighbour discovery.
    node.run("ip", "link", "set", name, "down")
    node.run("ip", "link", "set", name, "up")
    for one in ("10.5.0.7/32", "fd05::7/128"):
        node.run("ip", "route", "replace", one, "dev", name)
    node.run("ip", "address", "replace", "fe80::1/64", "dev", name, "nodad")

    for target in (NODE[0], BEYOND[0], "10.5.0.8", BEYOND[1], "fd05::8"):
        container.ping(target)


def test_routes_take_effect_with_all_that_the_answer_says(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, beyond: Namespace
) -> None:
    given = [
        {"dst": "0.0.0.0/0", "mtu": 1300, "advmss": 1200},
        {"dst": "198.51.100.0/24", "priority": 77},
        {"dst": "203.0.113.0/24", "table": 4711},
        {"dst": "fd99::/48", "mtu": 1350, "priority": 5},
    ]
    third_party.answers("ADD", {**DUAL, "cniVersion": "1.1.0", "routes": given})

    plugin.add()

    found = {one["dst"]: one for one in routes(container)}
    assert found["default"]["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    assert found["198.51.100.0/24"]["metric"] == 77
    assert (found["fd99::/48"]["metric"], found["fd99::/48"]["metrics"]) == (5, [{"mtu": 1350}])
    [by_table] = shown(container, "route", "show", "table", "4711")
    assert (by_table["dst"], by_table["gateway"]) == ("203.0.113.0/24", "169.254.1.1")


def test_several_addresses_of_each_family(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    many = ["10.5.0.7/24", "10.6.0.7/24", "fd05::7/64", "fd06::7/64"]
    third_party.answers("ADD", {**DUAL, "ips": [{"address": one} for one in many]})

    plugin.add()

    for one in many:
        assert answers(node, one.partition("/")[0])
    assert len(container.addresses("eth0")) == 4


def test_a_container_may_join_twice_and_two_networks(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    first = plugin.add()
    third_party.answers("ADD", {**DUAL, "ips": [{"address": "10.5.0.9/24"}], "routes": []})
    second_time = plugin.add(CNI_IFNAME="eth1")
    third_party.answers("ADD", {**DUAL, "ips": [{"address": "10.7.0.9/24"}], "routes": []})
    other = plugin.add(plugin.config(name="others"), CNI_IFNAME="net1")

    assert len({each["interfaces"][0]["name"] for each in (first, second_time, other)}) == 3
    for one in ("10.5.0.7", "10.5.0.9", "10.7.0.9"):
        assert answers(node, one)
    assert plugin.call("DEL", CNI_IFNAME="eth1").code == 0
    assert container.has_interface("eth0")
    assert not container.has_interface("eth1")


def test_forwarding_is_switched_on_and_router_advertisements_are_heeded_on(
    plugin: MainPlugin, node: Namespace, beyond: Namespace
) -> None:
    node.sysctl("net/ipv4/ip_forward", "0")
    node.sysctl("net/ipv6/conf/all/forwarding", "0")
    node.run("ip", "-6", "route", "del", "default")
    node.run("ip", "-6", "route", "add", "default", "via", BEYOND[1], "dev", "up0", "proto", "ra")

    name = plugin.add()["interfaces"][0]["name"]

    values = {
        key: node.run("cat", f"/proc/sys/net/{key}").strip()
        for key in (
            "ipv4/ip_forward",
            "ipv6/conf/all/forwarding",
            "ipv6/conf/up0/accept_ra",
            f"ipv6/conf/{name}/accept_ra",
            f"ipv4/conf/{name}/send_redirects",
        )
    }
    assert list(values.values()) == ["1", "1", "2", "0", "0"], values


def test_ipv6_that_is_off_in_the_container_is_switched_on(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace
) -> None:
    for scope in ("all", "default"):
        container.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", "1")

    plugin.add()

    assert answers(node, "fd05::7")


@pytest.mark.parametrize("mac", ["02:00:00:00:00:77", "02-AB-00-00-00-77"])
def test_the_container_has_the_mac_that_was_asked_for(
    plugin: MainPlugin, container: Namespace, node: Namespace, beyond: Namespace, mac: str
) -> None:
    result = plugin.add(plugin.config(runtimeConfig={"mac": mac}))

    wanted = mac.lower().replace("-", ":")
    assert shown(container, "link", "show", "eth0")[0]["address"] == wanted
    assert result["interfaces"][1]["mac"] == wanted
    assert answers(node, "10.5.0.7")


def test_a_node_without_a_way_out_serves_its_containers_too(
    plugin: MainPlugin, node: Namespace, container: Namespace, second: Namespace
) -> None:
    plugin.add()

    for target in ("10.5.0.8", "fd05::8"):
        assert answers(container, target)
    assert answers(node, "10.5.0.7")
    assert answers(node, "fd05::7")


def test_gateways_of_other_addresses(
    plugin: MainPlugin, container: Namespace, beyond: Namespace, node: Namespace
) -> None:
    plugin.add(plugin.config(gateway=["169.254.99.1", "fe80::99"]))

    found = {one["dst"]: one.get("gateway") for one in routes(container)}
    assert found["default"] in ("169.254.99.1", "fe80::99")
    for target in BEYOND:
        assert answers(container, target)


def test_nothing_of_a_container_that_is_gone_stands_in_the_way_of_the_next(
    plugin: MainPlugin, node: Namespace, container: Namespace, beyond: Namespace, scratch: Path
) -> None:
    for number in range(3):
        plugin.add(CNI_CONTAINERID=f"web-{number}")
        assert answers(node, "10.5.0.7")
        assert answers(node, "fd05::7")
        assert plugin.call("DEL", CNI_CONTAINERID=f"web-{number}").code == 0


PREFIXES = ["10.5.0.48/28", "fd05::40/122"]
WITHIN = ("10.5.0.49", "10.5.0.63", "fd05::41", "fd05::7f")


def use_prefixes(container: Namespace) -> None:
    """Put addresses of the prefixes where nothing of the host side knows them."""
    container.run("ip", "link", "set", "lo", "up")
    for one in WITHIN:
        container.run("ip", "address", "add", one, "dev", "lo")


def test_what_is_behind_a_container_is_reached_by_its_prefixes(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    container: Namespace,
    beyond: Namespace,
    second: Namespace,
) -> None:
    third_party.answers("ADD", {**DUAL, "ipamd.io/prefixes": PREFIXES})
    result = plugin.add(plugin.config(ipMasq=True))
    use_prefixes(container)

    assert result["ipamd.io/prefixes"] == PREFIXES
    for one in WITHIN:
        for asker in (node, beyond, second):
            assert answers(asker, one), one
        assert answers(container, "10.5.0.8" if "." in one else "fd05::8", "-I", one)
    container.sysctl("net/ipv4/ip_forward", "1")
    with pytest.raises(AssertionError, match="Host Unreachable"):
        second.run("ping", "-n", "-c", "1", "-W", "1", "10.5.0.50")
    assert plugin.call("CHECK", plugin.config(ipMasq=True, prevResult=result)).code == 0
    assert plugin.call("DEL").code == 0
    there = [one["dst"] for one in routes(node)]
    assert not set(PREFIXES) & set(there)


def test_a_check_misses_the_route_to_a_prefix_though_the_runtime_kept_no_word_of_it(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, beyond: Namespace
) -> None:
    third_party.answers("ADD", {**DUAL, "ipamd.io/prefixes": PREFIXES})
    result = plugin.add()
    kept = {key: value for key, value in result.items() if not key.startswith("ipamd.io")}
    config = plugin.config(prevResult=kept)
    assert plugin.call("CHECK", config).code == 0

    node.run("ip", "-6", "route", "del", PREFIXES[1])

    failed = plugin.call("CHECK", config)
    assert failed.error["code"] == 5
    assert f"route to {PREFIXES[1]} does not lead" in failed.error["details"]


@pytest.mark.parametrize(
    ("prefixes", "said"),
    [
        (["10.5.0.48/28", "fd06::/64"], "no address of IPv6"),
        (["10.5.0.49/28"], "does not begin with the first address"),
        (["10.5.0.48"], "has no prefix length"),
        ("10.5.0.48/28", "is not a list of texts"),
        (["10.5.0.0/29"], "route to 10.5.0.0/29 on the node, where one is by interface up0"),
    ],
)
def test_a_prefix_that_cannot_be_reached_is_refused_and_nothing_is_left(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    beyond: Namespace,
    prefixes: object,
    said: str,
) -> None:
    node.run("ip", "route", "add", "10.5.0.0/29", "dev", "up0")
    alone = {"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.7/24"}]}
    third_party.answers("ADD", {**alone, "ipamd.io/prefixes": prefixes})

    failed = plugin.call("ADD")

    assert said in failed.error["msg"]
    assert not [one for one in shown(node, "link", "show") if one["ifname"].startswith("ipamd")]
    assert third_party.calls[-1] == "DEL"
