"""The kernel does what our bytes ask for, and `ip` sees it; what it tells, we read."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from netlink import address, conntrack, expression, family, link, neighbour, nftables, route
from netlink.address import Address
from netlink.connection import NETFILTER, ROUTE, Answer, Connection
from netlink.link import Link, Port
from netlink.linkkind import Bridge, Vxlan
from netlink.message import ERROR, Message, Request, refusal
from netlink.neighbour import Neighbour
from netlink.nftables import Chain, Element, Set, Table
from netlink.route import Route
from tests.netlink_values import said_by
from tests.network.kernel import connect
from tests.network.namespace import MakeNamespace, Namespace

ENOENT, EEXIST, ENODEV = 2, 17, 19

HOST_MAC, MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
POD, POD_SIX = bytes([10, 9, 0, 5]), bytes.fromhex("fd09" + 13 * "00" + "05")
GATEWAY, GATEWAY_SIX = bytes([169, 254, 1, 1]), bytes.fromhex("fe80" + 13 * "00" + "01")
GROUP = 8750


@pytest.fixture
def container(make_namespace: MakeNamespace) -> Namespace:
    return make_namespace("container")


@pytest.fixture
def routing(node: Namespace) -> Iterator[Connection]:
    """Links, addresses, neighbours, routes of the node."""
    connection = connect(node, ROUTE)
    yield connection
    connection.close()


@pytest.fixture
def filters(node: Namespace) -> Iterator[Connection]:
    """Packet filters and tracked connections of the node."""
    connection = connect(node, NETFILTER)
    yield connection
    connection.close()


def agreed(answers: list[Answer]) -> list[Answer]:
    refused = [(number, one.refusal.errno) for number, one in enumerate(answers) if one.refusal is not None]
    assert not refused, f"refused: {refused}"
    return answers


def as_json(namespace: Namespace, *command: str) -> Any:
    return json.loads(namespace.run("ip", "-j", "-d", *command))


@pytest.fixture
def pair(routing: Connection, container: Namespace) -> tuple[Link, Link]:
    """Both ends of a pair as the kernel tells them, one on the node, one in the container."""
    file = os.open(container.path, os.O_RDONLY)
    try:
        made = link.create_pair(
            Link("veth1", mac=HOST_MAC, mtu=1400, group=GROUP),
            Link("eth0", mac=MAC, mtu=1400, namespace=file),
        )
        answers = agreed(routing.exchange([made, link.get("veth1")]))
    finally:
        os.close(file)
    inside = connect(container, ROUTE)
    [answer] = agreed(inside.exchange([link.get("eth0")]))
    inside.close()
    return link.decode(answers[1].messages[0]), link.decode(answer.messages[0])


def test_a_pair_is_made_with_each_end_where_it_stays(
    node: Namespace, container: Namespace, pair: tuple[Link, Link]
) -> None:
    host, inside = pair

    assert (host.name, host.mac, host.mtu, host.group, host.up) == ("veth1", HOST_MAC, 1400, GROUP, False)
    assert (inside.name, inside.mac, inside.mtu, inside.group) == ("eth0", MAC, 1400, 0)
    assert (host.index, inside.index) == (inside.peer_index, host.peer_index)
    assert host.kind_name == inside.kind_name == "veth"
    [shown] = as_json(container, "link", "show", "eth0")
    assert shown["address"] == "02:00:00:00:00:02"
    assert not node.has_interface("eth0")


def test_a_removal_is_announced_as_soon_as_both_ends_are_gone(
    node: Namespace, routing: Connection, container: Namespace, pair: tuple[Link, Link]
) -> None:
    index = pair[0].index
    node.run("ip", "link", "add", "br0", "type", "bridge")
    node.run("ip", "link", "set", "veth1", "master", "br0")  # that it leaves this is announced too, before
    inside = connect(container, ROUTE)
    routing.listen(link.GROUP)
    heard: list[Message] = []
    asking = threading.Thread(target=routing.send, args=[link.delete(index=index)])

    asking.start()
    while not heard or not link.announces_removal(heard[-1], index):
        heard += routing.hear(5000)
    [answer] = inside.exchange([link.get("eth0")])
    asking.join()
    later = routing.hear(5000)
    inside.close()

    assert answer.refusal is not None
    assert answer.refusal.errno == ENODEV
    assert link.DELETE in [one.kind for one in heard[:-1]], "the bridge announced nothing"
    assert [one.kind for one in later] == [ERROR]
    assert refusal(later[0]) is None
    assert routing.hear(0) == []


def test_what_a_link_is_told_it_tells_too(
    routing: Connection, node: Namespace, pair: tuple[Link, Link]
) -> None:
    index = pair[0].index
    node.sysctl("net/ipv6/conf/veth1/accept_ra", "2")
    node.sysctl("net/ipv6/conf/veth1/accept_dad", "0")
    node.sysctl("net/ipv6/conf/veth1/keep_addr_on_down", "1")
    settings = {"send_redirects": 0, "rp_filter": 2, "arp_notify": 1, "proxy_arp": 1, "route_localnet": 1}
    told = Link(index=index, alias="default/web-0", generation=link.GENERATE_NONE, ipv4=settings, up=True)

    answers = agreed(routing.exchange([link.change(told), link.get(index=index)]))

    read = link.decode(answers[1].messages[0])
    assert (read.alias, read.generation, read.up) == ("default/web-0", link.GENERATE_NONE, True)
    assert {name: read.ipv4[name] for name in settings} == settings
    for name, value in settings.items():
        assert node.run("cat", f"/proc/sys/net/ipv4/conf/veth1/{name}") == f"{value}\n"
    for name in link.IPV6_SETTINGS:
        assert node.run("cat", f"/proc/sys/net/ipv6/conf/veth1/{name}") == f"{read.ipv6[name]}\n"
    assert (read.ipv6["accept_ra"], read.ipv6["accept_dad"], read.ipv6["keep_addr_on_down"]) == (2, 0, 1)


def test_a_routed_container_is_reached_after_two_sends(
    routing: Connection, node: Namespace, container: Namespace, pair: tuple[Link, Link]
) -> None:
    inside = connect(container, ROUTE)
    try:
        agreed(routing.exchange(of_node(pair[0].index)))
        agreed(inside.exchange(of_container(pair[1].index)))
    finally:
        inside.close()

    for one in ("10.9.0.5", "fd09::5"):
        node.run("ping", "-n", "-c", "1", "-W", "10", one)
    assert {each["dst"] for each in as_json(container, "route")} == {"default", "169.254.1.1"}
    [neighbour_shown] = json.loads(node.run("ip", "-j", "neigh", "show", "10.9.0.5"))
    assert neighbour_shown["state"] == ["PERMANENT"]


def of_node(index: int) -> list[Request]:
    no_detection = address.NO_DETECTION | address.NO_PREFIX_ROUTE
    return [
        link.change(Link(index=index, generation=link.GENERATE_NONE)),
        address.add(Address(index, GATEWAY, 32, no_detection, address.SCOPE_LINK)),
        address.add(Address(index, GATEWAY_SIX, 64, no_detection, address.SCOPE_LINK)),
        link.change(Link(index=index, up=True)),
        neighbour.put(Neighbour(index, POD, MAC)),
        neighbour.put(Neighbour(index, POD_SIX, MAC)),
        route.add(Route(POD, 32, index, scope=route.SCOPE_LINK)),
        route.add(Route(POD_SIX, 128, index)),
    ]


def of_container(index: int) -> list[Request]:
    return [
        address.add(Address(index, POD, 32, address.NO_PREFIX_ROUTE)),
        address.add(Address(index, POD_SIX, 128, address.NO_DETECTION | address.NO_PREFIX_ROUTE)),
        link.change(Link(index=index, up=True)),
        neighbour.put(Neighbour(index, GATEWAY, HOST_MAC)),
        neighbour.put(Neighbour(index, GATEWAY_SIX, HOST_MAC)),
        route.add(Route(GATEWAY, 32, index, scope=route.SCOPE_LINK)),
        route.add(Route(bytes(4), 0, index, GATEWAY, mtu=1300, advmss=1200)),
        route.add(Route(bytes(16), 0, index, GATEWAY_SIX, priority=7)),
    ]


def test_routes_carry_all_that_a_result_may_say(
    routing: Connection, node: Namespace, pair: tuple[Link, Link]
) -> None:
    index = pair[0].index
    given = Route(
        bytes([192, 0, 2, 0]),
        24,
        index,
        POD,
        table=777,
        priority=9,
        mtu=1300,
        advmss=1200,
        flags=route.ON_LINK,
    )

    agreed(routing.exchange([link.change(Link(index=index, up=True)), route.add(given)]))

    [shown] = as_json(node, "route", "show", "table", "777")
    assert (shown["dst"], shown["gateway"], shown["metric"]) == ("192.0.2.0/24", "10.9.0.5", 9)
    assert shown["metrics"] == [{"mtu": 1300, "advmss": 1200}]
    [told] = [route.decode(one) for one in routing.list_all(route.get_all(family.IPV4, index, 777))]
    told.flags &= route.ON_LINK  # the kernel adds that the other end is down
    assert said_by(told) == said_by(given)


def test_the_list_of_a_links_addresses_and_neighbours(
    routing: Connection, node: Namespace, pair: tuple[Link, Link]
) -> None:
    index = pair[0].index
    agreed(routing.exchange(of_node(index)))

    addresses = [address.decode(one) for one in routing.list_all(address.get_all(index))]
    neighbours = [neighbour.decode(one) for one in routing.list_all(neighbour.get_all(index))]
    [one] = agreed(routing.exchange([neighbour.get(index, POD)]))

    assert {(each.address, each.length, each.scope) for each in addresses} == {
        (GATEWAY, 32, address.SCOPE_LINK),
        (GATEWAY_SIX, 64, address.SCOPE_LINK),
    }
    assert not any(each.flags & address.TENTATIVE for each in addresses)
    permanent = {each.address: each.mac for each in neighbours if each.state == neighbour.PERMANENT}
    assert permanent == {POD: MAC, POD_SIX: MAC}
    assert neighbour.decode(one.messages[0]).mac == MAC


def test_a_bridge_and_its_port(routing: Connection, node: Namespace, pair: tuple[Link, Link]) -> None:
    index = pair[0].index
    agreed(routing.exchange([link.create(Link("br", mtu=1400, kind=Bridge(), up=True))]))
    bridge = link.decode(agreed(routing.exchange([link.get("br")]))[0].messages[0])

    agreed(
        routing.exchange(
            [
                link.change(Link(index=index, master=bridge.index, up=True)),
                link.change(Link(index=index, port=Port(hairpin=True, isolated=True))),
            ]
        )
    )

    [shown] = as_json(node, "link", "show", "veth1")
    assert shown["master"] == "br"
    port = shown["linkinfo"]["info_slave_data"]
    assert (port["hairpin"], port["isolated"]) == (True, True)
    [told] = [link.decode(one) for one in routing.list_all(link.get_all(bridge.index))]
    assert told.index == index
    assert told.port is not None
    assert (told.port.hairpin, told.port.isolated) == (True, True)
    assert isinstance(bridge.kind, Bridge)
    assert bridge.kind.vlan_filtering is False


def test_a_tunnel_and_where_it_sends_a_mac(routing: Connection, node: Namespace) -> None:
    made = Link("vx", mac=MAC, mtu=1400, kind=Vxlan(75, 8751), up=True)
    answers = agreed(routing.exchange([link.create(made), link.get("vx")]))
    told = link.decode(answers[1].messages[0])

    sent = Neighbour(told.index, bytes([192, 0, 2, 9]), HOST_MAC, of=family.BRIDGE, flags=neighbour.SELF)
    agreed(routing.exchange([neighbour.put(sent), neighbour.put(sent)]))

    assert isinstance(told.kind, Vxlan)
    assert (told.kind.identifier, told.kind.port, told.kind.learning) == (75, 8751, False)
    listed = routing.list_all(neighbour.get_all(told.index, family.BRIDGE))
    [entry] = [one for one in map(neighbour.decode, listed) if one.index == told.index]
    assert (entry.address, entry.mac) == (bytes([192, 0, 2, 9]), HOST_MAC)


def test_a_refusal_says_which_request_and_why_and_the_others_are_carried_out(
    routing: Connection, node: Namespace
) -> None:
    bridge = link.create(Link("br", kind=Bridge()))
    answers = routing.exchange(
        [
            bridge,
            bridge,
            link.get("nobody"),
            link.create(Link("other", kind=Bridge(), mtu=70000)),
            link.get("br"),
        ]
    )

    numbers = [one.refusal and one.refusal.errno for one in answers]
    assert numbers == [None, EEXIST, ENODEV, 22, None]
    assert answers[3].refusal is not None
    assert "mtu" in answers[3].refusal.text.lower()
    assert link.decode(answers[4].messages[0]).name == "br"


def test_more_requests_than_one_send_takes(routing: Connection) -> None:
    agreed(routing.exchange([link.create(Link(f"br{n}", kind=Bridge())) for n in range(100)]))

    listed = [link.decode(one).name for one in routing.list_all(link.get_all())]

    assert {f"br{n}" for n in range(100)} <= set(listed)


@pytest.fixture
def unsteady(node: Namespace, routing: Connection, pair: tuple[Link, Link]) -> Iterator[int]:
    """A link with a thousand addresses, which come and go on another link meanwhile; its index."""
    index = pair[0].index
    agreed(routing.exchange([link.create(Link("br", kind=Bridge()))]))
    bridge = link.decode(agreed(routing.exchange([link.get("br")]))[0].messages[0]).index
    lasting = [Address(index, bytes([10, 1, n >> 8, n & 255]), 32) for n in range(1000)]
    agreed(routing.exchange([address.add(one) for one in lasting]))
    ended = threading.Event()
    other = connect(node, ROUTE)

    def change() -> None:
        passing = Address(bridge, bytes([10, 0, 0, 1]), 32)
        while not ended.is_set():
            other.exchange([address.add(passing), address.delete(passing)] * 10)
            time.sleep(0.02)

    changing = threading.Thread(target=change)
    changing.start()
    yield index
    ended.set()
    changing.join()
    other.close()


def test_a_list_is_whole_though_it_is_interrupted(routing: Connection, unsteady: int) -> None:
    for _ in range(20):
        listed = [address.decode(one) for one in routing.list_all(address.get_all(0, family.IPV4))]

        assert sum(one.index == unsteady for one in listed) == 1000


TABLE = Table(nftables.INET, "ipamd")
PAIRS = Set("veth_local4", [4, 4], nftables.INTERVAL | nftables.CONCATENATED)
RANGES = Set("veth_pools4", [4], nftables.INTERVAL)
MACS = Set("veth_macs", [16, 6], nftables.CONCATENATED)
POOL = (bytes([10, 9, 0, 0]), bytes([10, 9, 255, 255]))


def masquerading() -> list[Request]:
    of_ipv4 = [expression.meta(expression.META_FAMILY), expression.compare(expression.EQUAL, b"\2")]
    group = [
        expression.meta(expression.META_IN_GROUP),
        expression.compare(expression.NOT_EQUAL, GROUP.to_bytes(4, "little")),
        expression.verdict(expression.RETURN),
    ]
    local = [
        *of_ipv4,
        expression.payload(expression.NETWORK_HEADER, 12, 4, expression.word(0)),
        expression.payload(expression.NETWORK_HEADER, 16, 4, expression.word(1)),
        expression.lookup(PAIRS.name, expression.word(0)),
        expression.verdict(expression.RETURN),
    ]
    source = [*of_ipv4, expression.payload(expression.NETWORK_HEADER, 12, 4), expression.lookup(RANGES.name)]
    return nftables.transaction(
        [
            TABLE.add(),
            TABLE.add_set(PAIRS, 1),
            TABLE.add_set(RANGES, 2),
            TABLE.add_set(MACS, 3),
            TABLE.add_chain(Chain("veth_postrouting", nftables.POSTROUTING, 100, "nat")),
            TABLE.flush_chain("veth_postrouting"),
            TABLE.add_rule("veth_postrouting", group),
            TABLE.add_rule("veth_postrouting", local),
            TABLE.add_rule("veth_postrouting", [*source, expression.masquerade(expression.FULLY_RANDOM)]),
            TABLE.add_elements(PAIRS, [Element(POOL[0] * 2, POOL[1] * 2)]),
            TABLE.add_elements(RANGES, [Element(*POOL)]),
        ]
    )


def test_a_transaction_may_be_repeated(filters: Connection) -> None:
    for _ in range(2):
        agreed(filters.transaction(masquerading()))

    assert len(filters.list_all(TABLE.get_rules("veth_postrouting"))) == 3


def holding(filters: Connection, of: Set, key: bytes) -> list[tuple[bytes, bytes | None]] | int:
    [answer] = filters.exchange([TABLE.get_element(of, key)])
    if answer.refusal is not None:
        return answer.refusal.errno
    return [(one.key, one.last) for one in nftables.decode_elements(answer.messages[0])]


def test_an_element_is_found_by_any_key_within(filters: Connection) -> None:
    agreed(filters.transaction(masquerading()))

    assert holding(filters, PAIRS, POD + POD) == [(POOL[0] * 2, POOL[1] * 2)]
    assert holding(filters, PAIRS, POD + bytes([10, 10, 0, 0])) == ENOENT
    assert holding(filters, RANGES, POD) == [(POOL[0], None)]
    assert holding(filters, RANGES, bytes([10, 10, 0, 0])) == ENOENT


def test_elements_go_and_sets_and_chains_and_the_table_too(filters: Connection) -> None:
    agreed(filters.transaction(masquerading()))
    gone = [
        TABLE.delete_elements(RANGES, [Element(*POOL)]),
        TABLE.delete_elements(PAIRS, [Element(POOL[0] * 2, POOL[1] * 2)]),
    ]

    agreed(filters.transaction(nftables.transaction(gone)))

    listed = filters.list_all(TABLE.get_elements(PAIRS.name))
    assert [one for told in listed for one in nftables.decode_elements(told)] == []
    agreed(
        filters.transaction(
            nftables.transaction(
                [
                    TABLE.flush_chain("veth_postrouting"),
                    TABLE.delete_chain("veth_postrouting"),
                    TABLE.delete_set(PAIRS.name),
                ]
            )
        )
    )
    [chain] = filters.exchange([TABLE.get_chain("veth_postrouting")])
    assert chain.refusal is not None
    assert chain.refusal.errno == ENOENT
    agreed(filters.transaction(nftables.transaction([TABLE.delete()])))
    [table] = filters.exchange([TABLE.get()])
    assert table.refusal is not None


def test_a_transaction_takes_effect_wholly_or_not_at_all(filters: Connection) -> None:
    answers = filters.transaction(
        nftables.transaction([TABLE.add(), TABLE.delete_chain("nobody"), TABLE.add()])
    )

    assert [one.refusal and one.refusal.errno for one in answers] == [None, None, ENOENT, None, None]
    [table] = filters.exchange([TABLE.get()])
    assert table.refusal is not None
    agreed(filters.transaction(masquerading()))


def test_what_has_to_be_a_transaction_is_refused_without(filters: Connection) -> None:
    [answer] = filters.exchange([TABLE.add()])

    assert answer.refusal is not None


def test_a_list_of_what_is_not_there_fails(filters: Connection) -> None:
    with pytest.raises(OSError, match=str(ENOENT)):
        filters.list_all(TABLE.get_elements("nobody"))


def test_connections_of_an_address_are_forgotten_and_no_others(
    routing: Connection, filters: Connection, node: Namespace, container: Namespace, pair: tuple[Link, Link]
) -> None:
    inside = connect(container, ROUTE)
    second = bytes([10, 9, 0, 6])
    agreed(
        routing.exchange([*of_node(pair[0].index), route.add(Route(second, 32, pair[0].index, scope=253))])
    )
    agreed(inside.exchange([*of_container(pair[1].index), address.add(Address(pair[1].index, second, 32))]))
    inside.close()
    agreed(filters.transaction(masquerading()))  # where nobody filters, nothing is tracked
    for one in ("10.9.0.5", "10.9.0.6", "fd09::5"):
        node.ping(one)  # an answer may need a second packet, and both are of one connection
    container.ping("169.254.1.1", "-I", "10.9.0.5")

    def connections(of: bytes) -> list[Message]:
        told = [one for asked in conntrack.lists(of) for one in filters.each(asked)]
        return [one for one in told if conntrack.concerns(one, of)]

    assert [len(connections(of)) for of in (POD, second, POD_SIX)] == [2, 1, 1]
    for of in (POD, POD_SIX):
        agreed(filters.exchange([conntrack.delete(one) for one in connections(of)]))

    assert [len(connections(of)) for of in (POD, second, POD_SIX)] == [0, 1, 0]
