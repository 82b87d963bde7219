"""What pyroute2, another reader of netlink, makes of the bytes of our requests; and ours of the kernel's."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink.nfnetlink import nfctsocket, nftsocket
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netlink import (
    address,
    attribute,
    conntrack,
    expression,
    family,
    link,
    message,
    neighbour,
    nftables,
    route,
)
from netlink.address import Address
from netlink.link import Link, Port
from netlink.linkkind import Bridge, Vxlan
from netlink.message import Message, Request
from netlink.neighbour import Neighbour
from netlink.nftables import Chain, Element, Set, Table
from netlink.route import Route

MAC, OTHER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("0200000000fe")
ONE, NEXT, LATER = bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]), bytes([192, 0, 2, 0])
SIX, NEXT_SIX = bytes.fromhex("fd09" + 13 * "00" + "01"), bytes.fromhex("fe80" + 13 * "00" + "01")


def read_as(kind: type[Any], request: Request) -> Any:
    """What pyroute2 reads, a request's header included."""
    read = kind(message.encode(request, 7))
    read.decode()
    assert read["header"]["sequence_number"] == 7
    assert read["header"]["type"] == request.kind
    return read


def attributes(read: Any) -> dict[str, Any]:
    """All attributes of a message or a nested one, nested ones as dicts."""
    return {
        name: attributes(value) if hasattr(value, "get_attr") and value.get("attrs") else plain(value)
        for name, value in read["attrs"]
    }


def plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value


def test_a_pair_is_made_with_each_end_where_it_stays() -> None:
    request = link.create_pair(
        Link("veth1", mac=MAC, mtu=1400, group=9), Link("eth0", mac=OTHER_MAC, mtu=1400, group=3, namespace=5)
    )

    read = read_as(ifinfmsg, request)

    assert read["header"]["flags"] == 0x1 | 0x200 | 0x400
    assert attributes(read) == {
        "IFLA_IFNAME": "veth1",
        "IFLA_ADDRESS": "02:00:00:00:00:01",
        "IFLA_MTU": 1400,
        "IFLA_GROUP": 9,
        "IFLA_LINKINFO": {
            "IFLA_INFO_KIND": "veth",
            "IFLA_INFO_DATA": {
                "VETH_INFO_PEER": {
                    "IFLA_IFNAME": "eth0",
                    "IFLA_ADDRESS": "02:00:00:00:00:fe",
                    "IFLA_MTU": 1400,
                    "IFLA_GROUP": 3,
                    "IFLA_NET_NS_FD": 5,
                }
            },
        },
    }


LINKS: dict[str, tuple[Request, dict[str, int], dict[str, Any]]] = {
    "a bridge": (
        link.create(Link("cni0", mtu=1500, kind=Bridge(vlan_filtering=True))),
        {"index": 0, "change": 0},
        {
            "IFLA_IFNAME": "cni0",
            "IFLA_MTU": 1500,
            "IFLA_LINKINFO": {"IFLA_INFO_KIND": "bridge", "IFLA_INFO_DATA": {"IFLA_BR_VLAN_FILTERING": 1}},
        },
    ),
    "a tunnel over IPv4": (
        link.create(Link("vx", kind=Vxlan(75, 8751, LATER, 2))),
        {"index": 0},
        {
            "IFLA_IFNAME": "vx",
            "IFLA_LINKINFO": {
                "IFLA_INFO_KIND": "vxlan",
                "IFLA_INFO_DATA": {
                    "IFLA_VXLAN_ID": 75,
                    "IFLA_VXLAN_PORT": 8751,
                    "IFLA_VXLAN_LEARNING": 0,
                    "IFLA_VXLAN_LOCAL": "192.0.2.0",
                    "IFLA_VXLAN_LINK": 2,
                },
            },
        },
    ),
    "a tunnel over IPv6": (
        link.create(Link("vx", kind=Vxlan(75, 8751, SIX, learning=True))),
        {"index": 0},
        {
            "IFLA_IFNAME": "vx",
            "IFLA_LINKINFO": {
                "IFLA_INFO_KIND": "vxlan",
                "IFLA_INFO_DATA": {
                    "IFLA_VXLAN_ID": 75,
                    "IFLA_VXLAN_PORT": 8751,
                    "IFLA_VXLAN_LEARNING": 1,
                    "IFLA_VXLAN_LOCAL6": "fd09::1",
                },
            },
        },
    ),
    "up, onto a bridge": (
        link.change(Link(index=4, master=2, up=True)),
        {"index": 4, "flags": 1, "change": 1},
        {"IFLA_MASTER": 2},
    ),
    "off a bridge, down": (
        link.change(Link("veth1", master=0, up=False)),
        {"index": 0, "flags": 0, "change": 1},
        {"IFLA_IFNAME": "veth1", "IFLA_MASTER": 0},
    ),
    "a port": (
        link.change(Link(index=4, port=Port(hairpin=True, isolated=False))),
        {"index": 4},
        {
            "IFLA_LINKINFO": {
                "IFLA_INFO_SLAVE_KIND": "bridge",
                "IFLA_INFO_SLAVE_DATA": {"IFLA_BRPORT_MODE": 1, "IFLA_BRPORT_ISOLATED": 0},
            }
        },
    ),
    "an alias": (
        link.change(Link(index=4, alias="ipamd/näme")),
        {"index": 4},
        {"IFLA_IFALIAS": "ipamd/näme"},
    ),
    "looked up by its name": (
        link.get("eth0"),
        {"index": 0},
        {"IFLA_IFNAME": "eth0", "IFLA_EXT_MASK": 8},
    ),
    "removed": (link.delete(index=9), {"index": 9}, {}),
}


@pytest.mark.parametrize(("request_", "header", "expected"), LINKS.values(), ids=LINKS.keys())
def test_links_are_read_as_meant(request_: Request, header: dict[str, int], expected: dict[str, Any]) -> None:
    read = read_as(ifinfmsg, request_)

    assert {name: read[name] for name in header} == header
    assert attributes(read) == expected


def test_settings_of_families_are_read_as_meant() -> None:
    read = read_as(
        ifinfmsg, link.change(Link(index=4, generation=link.GENERATE_NONE, ipv4={"send_redirects": 0}))
    )

    [(kind, families)] = read["attrs"]
    assert kind == "IFLA_AF_SPEC"
    assert [name for name, _ in families["attrs"]] == ["AF_INET", "AF_INET6"]
    assert attributes(families)["AF_INET6"] == {"IFLA_INET6_ADDR_GEN_MODE": 1}


def test_a_port_of_a_vlan_is_read_as_meant() -> None:
    read = read_as(ifinfmsg, link.add_vlan(4, 100, link.VLAN_PVID | link.VLAN_UNTAGGED))

    assert (read["family"], read["index"]) == (7, 4)
    families = read.get_attr("IFLA_AF_SPEC")
    encoded = attribute.read(message.encode(link.add_vlan(4, 100, 6), 1)[32:])[26]
    assert attribute.read(encoded) == {0: b"\1\0", 2: b"\6\0\x64\0"}, families


ADDRESSES = {
    "IPv4 in a prefix": (
        Address(3, ONE, 24, broadcast=bytes([10, 9, 0, 255])),
        {"family": 2, "prefixlen": 24, "scope": 0, "index": 3},
        {"IFA_LOCAL": "10.9.0.1", "IFA_ADDRESS": "10.9.0.1", "IFA_BROADCAST": "10.9.0.255"},
    ),
    "IPv6 without detection": (
        Address(3, NEXT_SIX, 64, address.NO_DETECTION | address.NO_PREFIX_ROUTE, address.SCOPE_LINK),
        {"family": 10, "prefixlen": 64, "scope": 253, "index": 3},
        {"IFA_LOCAL": "fe80::1", "IFA_ADDRESS": "fe80::1", "IFA_FLAGS": 0x202},
    ),
}


@pytest.mark.parametrize(("given", "header", "expected"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_addresses_are_read_as_meant(
    given: Address, header: dict[str, int], expected: dict[str, Any]
) -> None:
    for make in (address.add, address.put, address.delete):
        read = read_as(ifaddrmsg, make(given))

        assert {name: read[name] for name in header} == header
        assert attributes(read) == expected


NEIGHBOURS = {
    "IPv4": (
        Neighbour(3, ONE, MAC),
        {"family": 2, "ifindex": 3, "state": 0x80, "flags": 0},
        {"NDA_DST": "10.9.0.1", "NDA_LLADDR": "02:00:00:00:00:01"},
    ),
    "IPv6": (
        Neighbour(3, SIX, MAC),
        {"family": 10, "ifindex": 3, "state": 0x80, "flags": 0},
        {"NDA_DST": "fd09::1", "NDA_LLADDR": "02:00:00:00:00:01"},
    ),
    "where a tunnel sends a MAC": (
        Neighbour(8, LATER, MAC, neighbour.NO_ARP | neighbour.PERMANENT, family.BRIDGE, neighbour.SELF),
        {"family": 7, "ifindex": 8, "state": 0xC0, "flags": 2},
        {"NDA_DST": "192.0.2.0", "NDA_LLADDR": "02:00:00:00:00:01"},
    ),
}


@pytest.mark.parametrize(("given", "header", "expected"), NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
def test_neighbours_are_read_as_meant(
    given: Neighbour, header: dict[str, int], expected: dict[str, Any]
) -> None:
    read = read_as(ndmsg, neighbour.put(given))

    assert {name: read[name] for name in header} == header
    assert attributes(read) == expected


ROUTES = {
    "by a link": (
        Route(ONE, 32, 3, scope=route.SCOPE_LINK, source=LATER),
        {"family": 2, "dst_len": 32, "scope": 253, "type": 1, "proto": 3, "table": 254, "flags": 0},
        {"RTA_TABLE": 254, "RTA_DST": "10.9.0.1", "RTA_OIF": 3, "RTA_PREFSRC": "192.0.2.0"},
    ),
    "the default by a gateway": (
        Route(bytes(4), 0, 3, NEXT, flags=route.ON_LINK),
        {"family": 2, "dst_len": 0, "scope": 0, "flags": 4},
        {"RTA_TABLE": 254, "RTA_GATEWAY": "10.9.0.2", "RTA_OIF": 3},
    ),
    "IPv6 with all that a result may say": (
        Route(SIX[:8] + bytes(8), 64, 3, NEXT_SIX, table=100000, priority=50, mtu=1400, advmss=1340),
        {"family": 10, "dst_len": 64, "table": 0},
        {
            "RTA_TABLE": 100000,
            "RTA_DST": "fd09::",
            "RTA_GATEWAY": "fe80::1",
            "RTA_OIF": 3,
            "RTA_PRIORITY": 50,
            "RTA_METRICS": {"RTAX_MTU": 1400, "RTAX_ADVMSS": 1340},
        },
    ),
    "to nowhere": (
        Route(LATER, 24, kind=route.BLACKHOLE, protocol=route.STATIC),
        {"family": 2, "dst_len": 24, "type": 6, "proto": 4},
        {"RTA_TABLE": 254, "RTA_DST": "192.0.2.0"},
    ),
}


@pytest.mark.parametrize(("given", "header", "expected"), ROUTES.values(), ids=ROUTES.keys())
def test_routes_are_read_as_meant(given: Route, header: dict[str, int], expected: dict[str, Any]) -> None:
    for make in (route.add, route.put, route.delete):
        read = read_as(rtmsg, make(given))

        assert {name: read[name] for name in header} == header
        assert attributes(read) == expected


TABLE = Table(nftables.INET, "ipamd")
PAIRS = Set("veth_local4", [4, 4], nftables.INTERVAL | nftables.CONCATENATED)
RANGES = Set("veth_pools4", [4], nftables.INTERVAL)


def test_a_base_chain_is_read_as_meant() -> None:
    chain = Chain("veth_postrouting", nftables.POSTROUTING, -100, "nat")

    read = read_as(nftsocket.nft_chain_msg, TABLE.add_chain(chain))

    assert read["nfgen_family"] == 1
    assert attributes(read) == {
        "NFTA_CHAIN_TABLE": "ipamd",
        "NFTA_CHAIN_NAME": "veth_postrouting",
        "NFTA_CHAIN_HOOK": {"NFTA_HOOK_HOOKNUM": 4, "NFTA_HOOK_PRIORITY": -100},
        "NFTA_CHAIN_POLICY": 1,
        "NFTA_CHAIN_TYPE": "nat",
    }


def test_a_set_of_pairs_is_read_as_meant() -> None:
    read = read_as(nftsocket.nft_set_msg, TABLE.add_set(PAIRS, 3))

    known = attributes(read)
    assert known["NFTA_SET_NAME"] == "veth_local4"
    assert known["NFTA_SET_KEY_LEN"] == 8
    assert known["NFTA_SET_ID"] == 3


RULE = [
    (expression.meta(expression.META_IN_GROUP), "meta"),
    (expression.compare(expression.NOT_EQUAL, b"\5\0\0\0"), "cmp"),
    (expression.masked(bytes.fromhex("00400000")), "bitwise"),
    (expression.payload(expression.NETWORK_HEADER, 12, 4, expression.word(1)), "payload"),
    (expression.lookup("veth_local4", expression.word(0)), "lookup"),
    (expression.counter(), "counter"),
    (expression.masquerade(expression.FULLY_RANDOM), "masq"),
    (expression.verdict(expression.JUMP, "veth_later"), "immediate"),
]


def test_a_rule_is_read_as_meant() -> None:
    read = read_as(nftsocket.nft_rule_msg, TABLE.add_rule("veth_postrouting", [made for made, _ in RULE]))

    assert read["header"]["flags"] == 0x1 | 0x400 | 0x800
    assert read.get_attr("NFTA_RULE_CHAIN") == "veth_postrouting"
    expressions = read.get_attr("NFTA_RULE_EXPRESSIONS")
    assert [one.get_attr("NFTA_EXPR_NAME") for one in expressions] == [name for _, name in RULE]
    data = [one.get_attr("NFTA_EXPR_DATA") for one in expressions]
    assert plain(data[0].get_attr("NFTA_META_KEY")) in (21, "NFT_META_IIFGROUP")
    assert data[3].get_attr("NFTA_PAYLOAD_OFFSET") == 12
    assert data[4].get_attr("NFTA_LOOKUP_SET") == "veth_local4"


ELEMENTS = {
    "a pair of ranges": (PAIRS, Element(ONE + NEXT, NEXT + NEXT), [(ONE + NEXT, NEXT + NEXT, None)]),
    "a range": (RANGES, Element(ONE, NEXT), [(ONE, None, None), (bytes([10, 9, 0, 3]), None, 1)]),
    "a range to the highest key": (
        RANGES,
        Element(b"\xf0\0\0\0", b"\xff" * 4),
        [(b"\xf0\0\0\0", None, None)],
    ),
}


@pytest.mark.parametrize(("of", "element", "expected"), ELEMENTS.values(), ids=ELEMENTS.keys())
def test_elements_are_read_as_meant(of: Set, element: Element, expected: list[Any]) -> None:
    read = read_as(nftsocket.nft_set_elem_list_msg, TABLE.add_elements(of, [element]))

    assert read.get_attr("NFTA_SET_ELEM_LIST_SET") == of.name
    listed = read.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS")
    assert len(listed) == len(expected)
    body = TABLE.add_elements(of, [element]).body
    ours = [(one.key, one.last) for one in nftables.decode_elements(Message(0, 0, 0, body))]
    assert ours == [(key, last) for key, last, _ in expected]


def test_a_transaction_begins_and_ends() -> None:
    begin, _, end = nftables.transaction([TABLE.add()])

    assert (begin.kind, end.kind) == (16, 17)
    assert begin.body == end.body == b"\0\0\0\x0a"


def test_connections_of_an_address_are_asked_for_by_direction() -> None:
    read = [read_as(nfctsocket.nfct_msg, request) for request in conntrack.lists(ONE)]

    assert [one["nfgen_family"] for one in read] == [2, 2]
    for one, direction in zip(read, ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"), strict=True):
        assert one.get_attr(direction).get_attr("CTA_TUPLE_IP").get_attr("CTA_IP_V4_SRC") == "10.9.0.1"


MALFORMED = {
    "a header that is cut off": (attribute.items, b"\x08\0\1"),
    "a length beyond the end": (attribute.items, b"\x09\0\1\0aaaa"),
    "a length below the header's": (attribute.items, b"\x03\0\1\0"),
    "a message beyond the end": (message.decode, (64).to_bytes(4, "little") + bytes(12)),
    "a message without a length": (message.decode, bytes(16)),
    "a link without a header": (link.decode, Message(16, 0, 1, bytes(8))),
    "an address without a header": (address.decode, Message(20, 0, 1, bytes(4))),
    "a neighbour without a header": (neighbour.decode, Message(28, 0, 1, bytes(4))),
    "a route without a header": (route.decode, Message(24, 0, 1, bytes(4))),
}


@pytest.mark.parametrize(("read", "data"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_cut_off_is_malformed(read: Any, data: Any) -> None:
    with pytest.raises(attribute.Malformed):
        read(data)
