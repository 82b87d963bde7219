"""A node with a link to a host beyond it, and looking at what stands where."""

import json
from typing import Any, Final

from netlink import nftables
from netlink.connection import NETFILTER
from tests.network.kernel import connect
from tests.network.namespace import Namespace

NODE: Final = ("192.0.2.10", "2001:db8::10")
BEYOND: Final = ("192.0.2.1", "2001:db8::1")
UPLINK: Final = "up0"


def wire(node: Namespace, beyond: Namespace, mtu: int = 1500) -> None:
    """Give the node a link to the host beyond, by which its default routes lead."""
    node.run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "e0", "netns", beyond.name)
    for namespace, name, lengths in ((node, UPLINK, NODE), (beyond, "e0", BEYOND)):
        namespace.run("ip", "link", "set", name, "mtu", str(mtu), "up")
        for address, length in zip(lengths, ("24", "64"), strict=True):
            nodad = ["nodad"] if ":" in address else []
            namespace.run("ip", "address", "add", f"{address}/{length}", "dev", name, *nodad)
    for address in BEYOND:
        node.run("ip", "route", "add", "default", "via", address)


def shown(namespace: Namespace, *command: str) -> Any:
    """What `ip` shows, as values."""
    return json.loads(namespace.run("ip", "-j", "-d", *command) or "[]")


def routes(namespace: Namespace, *selection: str) -> list[dict[str, Any]]:
    """The routes of both families, without what the kernel makes of addresses by itself."""
    found = [
        *shown(namespace, "route", "show", *selection),
        *shown(namespace, "-6", "route", "show", *selection),
    ]
    return [one for one in found if one.get("protocol") != "kernel"]


def answers(namespace: Namespace, address: str, *more: str, within: int = 5) -> bool:
    """Whether the first packet to an address is answered within so many seconds."""
    try:
        namespace.run("ping", "-n", "-c", "1", "-W", str(within), *more, address)
    except AssertionError:
        return False
    return True


def everything(namespace: Namespace) -> dict[str, Any]:
    """All links, addresses, routes and neighbours that do not come and go by themselves."""
    links = [(one["ifname"], one.get("master")) for one in shown(namespace, "link", "show")]
    addresses = [
        (one["ifname"], each["local"], each["prefixlen"])
        for one in shown(namespace, "address", "show")
        for each in one["addr_info"]
        if each["scope"] != "link"
    ]
    permanent = [
        (one["dst"], one["dev"], one.get("lladdr"))
        for one in shown(namespace, "neigh", "show")
        if "PERMANENT" in one["state"]
    ]
    there = [(one["dst"], one.get("dev")) for one in routes(namespace)]
    sets = ((nftables.INET, "veth_local4"), (nftables.INET, "veth_local6"), (nftables.BRIDGE, "veth_macs"))
    return {
        "links": sorted(links, key=str),
        "addresses": sorted(addresses),
        "neighbours": sorted(permanent),
        "routes": sorted(there, key=str),
        "sets": {name: elements(namespace, family, name) for family, name in sets},
    }


def elements(namespace: Namespace, family: int, name: str) -> list[tuple[bytes, bytes | None, str]]:
    """The keys of a set in our table of a family, nothing where there is none."""
    filters = connect(namespace, NETFILTER)
    try:
        told = filters.list_all(nftables.Table(family, "ipamd").get_elements(name))
    except FileNotFoundError:
        return []
    finally:
        filters.close()
    return sorted((one.key, one.last, one.comment) for each in told for one in nftables.decode_elements(each))
