"""Which addresses and routes stand where, out of what the IPAM plugin answered: arithmetic alone."""

from __future__ import annotations

from cni_plugin.failure import INVALID_CONFIGURATION, Failure
from veth_plugin import address
from veth_plugin.address import bits, family, is_link_local, network, prefix_text
from veth_plugin.result import Address, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.configuration import Bridge
    from veth_plugin.result import Result

SCOPE_LINK = 253


class Layout:
    """What stands where.

    `addresses` are the container's, each with its gateway. `gateways` are the node's: on the host side of the
    pair, or on the bridge. `routes` are all routes of the container, in an order in which they can be made,
    every gateway said. `told` are the routes that the result tells of. `pools` are the prefixes of the
    addresses as the IPAM plugin gave them: first address and length. `prefixes` are behind the container,
    each with the container's address by which it is reached.
    """

    def __init__(
        self,
        addresses: list[Address],
        gateways: list[Address],
        routes: list[Route],
        told: list[Route],
        pools: list[tuple[bytes, int]],
        prefixes: list[tuple[bytes, int, bytes]] | None = None,
    ) -> None:
        self.addresses = addresses
        self.gateways = gateways
        self.routes = routes
        self.told = told
        self.pools = pools
        self.prefixes = prefixes or []


def routed(answer: Result, gateways: dict[int, bytes]) -> Layout:
    """Lay out a container whose only neighbour is its node; `gateways` are the node's, by family.

    The prefix of each address is reached through the node too, as with the reference plugin ptp.
    """
    _check(answer)
    own = {family(each.address) for each in answer.addresses}
    replaced = [each.gateway for each in answer.addresses if each.gateway is not None]
    told = []
    for route in answer.routes:
        number = family(route.destination)
        if number not in own:
            continue  # without an address there is nothing to send from
        if route.gateway is not None and route.gateway not in replaced and route.gateway != gateways[number]:
            raise _invalid(route, "in mode routed the node is the only gateway")
        told.append(_through(route, gateways[number]))
    links = [_on_link(gateways[number]) for number in sorted(own)]
    prefixes: list[Route] = []
    for each in answer.addresses:
        first = network(each.address, each.length)
        known = prefixes + told
        if each.length < bits(first) and not any(_is_to(route, first, each.length) for route in known):
            prefixes.append(Route(first, each.length, gateways[family(first)]))
    return Layout(
        [
            Address(each.address, bits(each.address), gateways[family(each.address)])
            for each in answer.addresses
        ],
        [Address(gateways[number], bits(gateways[number])) for number in sorted(own)],
        links + prefixes + told,
        told,
        _pools(answer),
        _behind(answer),
    )


def _behind(answer: Result) -> list[tuple[bytes, int, bytes]]:
    """Give the prefixes behind the container, each with the first of its addresses of the family."""
    found: list[tuple[bytes, int, bytes]] = []
    for first, length in answer.prefixes:
        own = [each.address for each in answer.addresses if len(each.address) == len(first)]
        if not own:
            said = f"the container has no address of IPv{family(first)} by which it is reached"
            raise Failure(INVALID_CONFIGURATION, f"prefix {prefix_text(first, length)}: {said}")
        found.append((first, length, own[0]))
    return found


def bridged(answer: Result, bridge: Bridge) -> Layout:
    """Lay out a container beside others on a bridge, as the reference bridge does."""
    _check(answer)
    addresses = [
        Address(each.address, each.length, _gateway(each, bridge.is_gateway)) for each in answer.addresses
    ]
    told = list(answer.routes)
    if bridge.is_default_gateway:
        told += _default_routes(addresses, answer.routes)
    first = {family(each.address): each.gateway for each in reversed(addresses) if each.gateway is not None}
    own = [family(each.address) for each in addresses]
    routes = []
    for route in told:
        number = family(route.destination)
        if number in own:
            routes.append(_through(route, route.gateway or first.get(number)))
    gateways: list[Address] = []
    for each in addresses:
        if bridge.is_gateway and each.gateway not in [one.address for one in gateways]:
            assert each.gateway is not None
            gateways.append(Address(each.gateway, each.length))
    return Layout(addresses, gateways, _links(addresses, routes) + routes, told, _pools(answer))


def _pools(answer: Result) -> list[tuple[bytes, int]]:
    found: list[tuple[bytes, int]] = []
    for each in answer.addresses:
        prefix = network(each.address, each.length), each.length
        if prefix not in found:
            found.append(prefix)
    return found


def _check(answer: Result) -> None:
    if not answer.addresses:
        raise Failure(INVALID_CONFIGURATION, "the IPAM plugin gave no address")
    for route in answer.routes:
        if route.gateway is not None and len(route.gateway) != len(route.destination):
            raise _invalid(route, "the gateway is of the other family")


def _gateway(each: Address, wanted: bool) -> bytes | None:
    """Give an address's gateway: the first address of its prefix if none is said and one is wanted."""
    if each.gateway is None and wanted:
        return address.following(network(each.address, each.length))
    return each.gateway


def _default_routes(addresses: list[Address], routes: list[Route]) -> list[Route]:
    """Give the default routes of the families that have a gateway and no default route through one yet."""
    made: list[Route] = []
    for each in addresses:
        everything = bytes(len(each.address))
        through_one = [route for route in made + routes if route.gateway is not None]
        if not any(_is_to(route, everything, 0) for route in through_one):
            made.append(Route(everything, 0, each.gateway))
    return made


def _through(route: Route, gateway: bytes | None) -> Route:
    """Give a route with its gateway said; one whose scope is the link has none."""
    if route.gateway is None and route.numbers.get("scope", 0) >= SCOPE_LINK:
        return route
    return Route(route.destination, route.length, gateway, route.numbers)


def _links(addresses: list[Address], routes: list[Route]) -> list[Route]:
    """Give routes to the gateways that lie in no prefix of the container's, without which none goes there."""
    found: list[bytes] = []
    for route in routes:
        gateway = route.gateway
        if (
            gateway is None
            or gateway in found
            or (family(gateway) == address.IPV6 and is_link_local(gateway))
        ):
            continue
        if not any(_has(each, gateway) for each in addresses):
            found.append(gateway)
    return [_on_link(gateway) for gateway in found]


def _has(each: Address, one: bytes) -> bool:
    return len(one) == len(each.address) and network(one, each.length) == network(each.address, each.length)


def _on_link(gateway: bytes) -> Route:
    return Route(gateway, bits(gateway), None, {"scope": SCOPE_LINK})


def _is_to(route: Route, first: bytes, length: int) -> bool:
    """Tell whether a route of the main table leads to a prefix."""
    same = route.length == length and network(route.destination, length) == first
    return same and "table" not in route.numbers


def _invalid(route: Route, why: str) -> Failure:
    prefix = prefix_text(route.destination, route.length)
    via = "" if route.gateway is None else f" via {address.text(route.gateway)}"
    return Failure(INVALID_CONFIGURATION, f"route {prefix}{via} of the IPAM plugin: {why}")
