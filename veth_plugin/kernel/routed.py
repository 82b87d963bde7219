"""Mode routed: the node is the container's only neighbour, by a link-local address at the host side."""

from __future__ import annotations

from netlink import address, family, link, neighbour, route
from netlink.link import Link
from netlink.neighbour import Neighbour
from veth_plugin import address as addresses
from veth_plugin.kernel import forwarding, inside, masquerade, naming, tracking
from veth_plugin.kernel.asking import EXISTS, Step, carry_out, exchange, refused
from veth_plugin.result import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.failure import Failure
    from netlink.message import Refusal
    from veth_plugin.kernel.pair import Pair
    from veth_plugin.layout import Layout
    from veth_plugin.result import Interface

_WITHOUT_DETECTION = address.NO_DETECTION | address.NO_PREFIX_ROUTE
_LINK_LOCAL_LENGTH = 64
_LAST_METRIC = 0xFFFFFFFF


def complete(pair: Pair, layout: Layout) -> list[Interface]:
    """Set up both ends; the first packet after this is answered. Failure if something is in the way."""
    own = [each.address for each in layout.addresses]
    families = inside.families(own)
    has_ipv6 = family.IPV6 in families
    inside.require(has_ipv6, pair.told.ipv6)
    tracking.forget_what_is_left(own)
    forwarding.switch_on(pair, families)
    if pair.settings.masquerades:
        masquerade.ensure(pair.attachment.network, layout.pools)
    _set_up_host_side(pair, layout, own)
    inside.prepare(pair, has_ipv6)
    inside.set_up(
        pair,
        Link(index=pair.inside),
        [
            address.Address(pair.inside, each.address, each.length, _WITHOUT_DETECTION)
            for each in layout.addresses
        ],
        [Neighbour(pair.inside, each.address, pair.host_mac) for each in layout.gateways],
        layout.routes + _to_node(pair, layout),
    )
    _end_prefixes(pair, layout)
    pair.wait_until_packets_pass(own, [])
    return []


def host_route(pair_index: int, one: bytes, source: bytes | None) -> route.Route:
    """Give the node's route to a container's address.

    With the node's own address as its source: the kernel would take the gateway's of the host side (seen).
    """
    return route.Route(
        one,
        addresses.bits(one),
        pair_index,
        scope=route.SCOPE_LINK if family.of(one) == family.IPV4 else route.SCOPE_GLOBAL,
        source=source,
        protocol=naming.ROUTE_PROTOCOL,
    )


def prefix_route(
    pair_index: int, prefix: tuple[bytes, int], gateway: bytes, source: bytes | None
) -> route.Route:
    """Give the node's route to a prefix behind a container, through the container's own address.

    Nobody need answer for the addresses of the prefix: the container's own has a permanent neighbour.
    """
    first, length = prefix
    return route.Route(
        first,
        length,
        pair_index,
        gateway,
        source=source,
        flags=route.ON_LINK,
        protocol=naming.ROUTE_PROTOCOL,
    )


def _end_prefixes(pair: Pair, layout: Layout) -> None:
    """Let the container refuse what it does not use of its prefixes: else it would send that back."""
    steps = []
    for first, length, _ in layout.prefixes:
        ended = route.Route(first, length, kind=route.UNREACHABLE, priority=_LAST_METRIC)
        said = f"end of prefix {addresses.prefix_text(first, length)} in the container"
        steps.append(Step(route.add(ended), said, (EXISTS,)))
    if steps:
        carry_out(pair.namespace.routing, steps)


def _to_node(pair: Pair, layout: Layout) -> list[Route]:
    """Give routes to the node's own addresses, by which it asks, for families that have no default route."""
    found = []
    for gateway in layout.gateways:
        number = family.of(gateway.address)
        source = pair.sources.get(number)
        reached = [
            each for each in layout.routes if not each.length and family.of(each.destination) == number
        ]
        if source is not None and not reached:
            found.append(Route(source, addresses.bits(source), gateway.address))
    return found


def _set_up_host_side(pair: Pair, layout: Layout, own: list[bytes]) -> None:
    prefixes = [(first, length) for first, length, _ in layout.prefixes]
    steps = [Step(link.change(pair.tell(own, prefixes)), f"setting up interface {pair.name}")]
    for gateway in layout.gateways:
        said = f"address {addresses.text(gateway.address)} of {pair.name}"
        steps.append(Step(address.add(gateway_address(pair.index, gateway.address)), said))
    steps.append(Step(link.change(Link(index=pair.index, up=True)), f"switching interface {pair.name} on"))
    for one in own:
        said = addresses.text(one)
        steps.append(Step(neighbour.put(Neighbour(pair.index, one, pair.mac)), f"neighbour {said}"))
    routes = [(host_route(pair.index, one, _source(pair, one)), addresses.text(one)) for one in own]
    for first, length, way in layout.prefixes:
        wanted = prefix_route(pair.index, (first, length), way, _source(pair, first))
        routes.append((wanted, addresses.prefix_text(first, length)))
    for wanted, said in routes:
        steps.append(Step(route.add(wanted), f"route to {said} on the node", (EXISTS,)))
    answers = carry_out(pair.node, steps)
    for (wanted, said), answer in zip(routes, answers[-len(routes) :]):
        if answer.refusal is not None:
            raise _taken(pair, wanted.destination, said, answer.refusal)


def _source(pair: Pair, towards: bytes) -> bytes | None:
    """Give the address from which the node itself sends in a family."""
    return pair.sources.get(family.of(towards))


def gateway_address(index: int, gateway: bytes) -> address.Address:
    """Give a gateway's address at the host side with an index.

    Of IPv6 with the link-local prefix, or no link-local source is answered.
    """
    if family.of(gateway) == family.IPV6:
        length, flags = _LINK_LOCAL_LENGTH, address.NO_DETECTION
    else:
        length, flags = addresses.bits(gateway), _WITHOUT_DETECTION
    return address.Address(index, gateway, length, flags, address.SCOPE_LINK)


def _taken(pair: Pair, one: bytes, said: str, refusal: Refusal) -> Failure:
    """Say by which interface the node has a route to a container's address or prefix already."""
    [found] = exchange(pair.node, [route.find(one)])
    index = route.decode(found.messages[0]).index if found.messages else None
    name = None
    if index is not None:
        [told] = exchange(pair.node, [link.get(index=index)])
        name = link.decode(told.messages[0]).name if told.messages else None
    return refused(f"route to {said} on the node, where one is by interface {name}", refusal)
