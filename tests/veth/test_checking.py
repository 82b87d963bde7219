"""CHECK compares all that ADD set up, on both sides, and allows what later plugins of a chain change."""

from collections.abc import Callable

import pytest

from tests.cni.executable import Finished
from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import wire
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

DUAL: Document = {
    "cniVersion": "1.0.0",
    "ips": [{"address": "10.5.0.7/24"}, {"address": "fd05::7/64"}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "198.51.100.0/24"}],
}
MODES: dict[str, Document] = {
    "routed": {"ipMasq": True},
    "bridge": {"mode": "bridge", "isGateway": True, "ipMasq": True, "macspoofchk": True},
}


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> Document:
    return MODES[request.param]


@pytest.fixture(autouse=True)
def dual(third_party: ThirdParty, node: Namespace, make_namespace: MakeNamespace) -> None:
    wire(node, make_namespace("beyond"))
    third_party.answers("ADD", DUAL)


Break = Callable[[Namespace, Namespace, str], None]


def on_node(*command: str) -> Break:
    """Run a command on the node, HOST standing for the host side."""
    return lambda node, _, host: void(node.run(*[host if word == "HOST" else word for word in command]))


def inside(*command: str) -> Break:
    """Run a command in the container."""
    return lambda _, container, __: void(container.run(*command))


def void(_: str) -> None:
    return


BOTH: dict[str, tuple[Break, str]] = {
    "the host side is down": (on_node("ip", "link", "set", "HOST", "down"), "on the node is down"),
    "the container's end is down": (inside("ip", "link", "set", "eth0", "down"), "in the container is down"),
    "the pair is gone": (on_node("ip", "link", "del", "HOST"), "eth0 in the container is missing"),
    "an address is gone": (
        inside("ip", "address", "flush", "dev", "eth0", "scope", "global"),
        "address 10.5.0.7",
    ),
    "a route is gone": (inside("ip", "route", "del", "198.51.100.0/24"), "route 198.51.100.0/24"),
    "a default route is gone": (inside("ip", "-6", "route", "del", "default"), "route ::/0"),
    "the MAC is another": (
        inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:66"),
        "has the MAC 02:00:00:00:00:66",
    ),
    "forwarding is off": (on_node("sysctl", "-qw", "net.ipv4.ip_forward=0"), "forwarding of IPv4 is off"),
    "the rules are gone": (on_node("iptables-nft", "--version"), ""),
}
ROUTED: dict[str, tuple[Break, str]] = {
    "the node's route is gone": (on_node("ip", "route", "del", "10.5.0.7"), "route to 10.5.0.7"),
    "the node's route leads elsewhere": (
        on_node("ip", "-6", "route", "replace", "fd05::7", "dev", "up0"),
        "route to fd05::7",
    ),
    "the gateway is gone": (
        on_node("ip", "address", "del", "169.254.1.1/32", "dev", "HOST"),
        "gateway 169.254.1.1",
    ),
    "a neighbour is another": (
        on_node("ip", "neigh", "replace", "10.5.0.7", "lladdr", "02:00:00:00:00:66", "dev", "HOST"),
        "neighbour 10.5.0.7 has the MAC 02:00:00:00:00:66",
    ),
}
BRIDGE: dict[str, tuple[Break, str]] = {
    "the bridge is gone": (on_node("ip", "link", "del", "cni0"), "bridge cni0 is missing"),
    "the bridge is down": (on_node("ip", "link", "set", "cni0", "down"), "bridge cni0 is down"),
    "the port is off the bridge": (
        on_node("ip", "link", "set", "HOST", "nomaster"),
        "is not on bridge cni0",
    ),
    "hairpin mode is on": (
        on_node("ip", "link", "set", "HOST", "type", "bridge_slave", "hairpin", "on"),
        "hairpin mode",
    ),
    "the bridge lost its address": (
        on_node("ip", "address", "flush", "dev", "cni0", "scope", "global"),
        "gateway 10.5.0.1/24",
    ),
}
del BOTH["the rules are gone"]
CASES = [
    pytest.param(mode, *case, id=f"{mode}: {name}")
    for mode, cases in (("routed", BOTH | ROUTED), ("bridge", BOTH | BRIDGE))
    for name, case in cases.items()
]


def check(plugin: MainPlugin, result: Document) -> Finished:
    return plugin.call("CHECK", plugin.config(prevResult=result))


@pytest.mark.parametrize(("mode", "break_it", "said"), CASES, indirect=["mode"])
def test_what_differs_is_named(
    plugin: MainPlugin, node: Namespace, container: Namespace, break_it: Break, said: str
) -> None:
    result = plugin.add()
    host = next(each["name"] for each in result["interfaces"] if each["name"].startswith("ipamd"))
    assert check(plugin, result).code == 0, check(plugin, result)

    break_it(node, container, host)

    error = check(plugin, result).error
    assert said in error["msg"] + error.get("details", ""), error
    assert plugin.call("DEL").code == 0


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_masquerading_that_is_gone_is_named(plugin: MainPlugin, node: Namespace) -> None:
    from netlink import nftables
    from netlink.connection import NETFILTER
    from tests.network.kernel import connect

    result = plugin.add()
    filters = connect(node, NETFILTER)
    filters.transaction(nftables.transaction([nftables.Table(nftables.INET, "ipamd").delete()]))
    filters.close()

    assert "veth_postrouting" in check(plugin, result).error["msg"]


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_a_firewall_that_drops_is_named_beside_faults_and_is_none_itself(
    plugin: MainPlugin, node: Namespace
) -> None:
    result = plugin.add()
    node.run("iptables-nft", "-P", "FORWARD", "DROP")
    node.run("ip6tables-nft", "-A", "FORWARD", "-j", "REJECT")

    assert check(plugin, result).code == 0
    host = next(each["name"] for each in result["interfaces"] if each["name"].startswith("ipamd"))
    node.run("ip", "link", "set", host, "down")

    error = check(plugin, result).error
    assert "chain FORWARD of table ip filter drops forwarded packets by its policy" in error["details"]
    assert "chain FORWARD of table ip6 filter drops forwarded packets by its last rule" in error["details"]


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_what_a_later_plugin_changed_and_told_is_allowed(
    plugin: MainPlugin, container: Namespace, node: Namespace
) -> None:
    if plugin.network.get("mode") == "bridge":
        plugin.network["macspoofchk"] = False
    result = plugin.add()
    inside = next(each for each in result["interfaces"] if each.get("sandbox"))
    inside["mac"] = "02:00:00:00:00:66"
    container.run("ip", "link", "set", "eth0", "address", inside["mac"])
    container.run("ip", "link", "set", "eth0", "mtu", "1300")
    container.run("ip", "address", "add", "10.99.0.1/32", "dev", "eth0")
    container.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
    for one in ("10.5.0.7", "fd05::7"):
        if plugin.network.get("mode") != "bridge":
            host = result["interfaces"][0]["name"]
            node.run("ip", "neigh", "replace", one, "lladdr", inside["mac"], "dev", host)

    assert check(plugin, result).code == 0, check(plugin, result)


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_status_tells_what_containers_here_do_without(plugin: MainPlugin, node: Namespace) -> None:
    newest = plugin.config(cniVersion="1.1.0")
    node.sysctl("net/ipv4/ip_forward", "0")
    assert plugin.call("STATUS", newest).code == 0, "nobody is here yet"
    plugin.add()
    assert plugin.call("STATUS", newest).code == 0

    node.sysctl("net/ipv4/ip_forward", "0")
    error = plugin.call("STATUS", newest).error
    assert (error["code"], "forwarding of IPv4 is off" in error["msg"]) == (51, True)

    node.sysctl("net/ipv4/ip_forward", "1")
    if plugin.network.get("mode") == "bridge":
        node.run("ip", "link", "del", "cni0")
        error = plugin.call("STATUS", newest).error
        assert (error["code"], "bridge cni0 is gone" in error["msg"]) == (51, True)
