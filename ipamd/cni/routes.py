"""The routes of a result: one for each destination, each with what it needs to be made, in that order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from ipamd.cni.additions import Additions
from ipamd.models.address import IPAddress, IPNetwork
from ipamd.models.outcome import Grant
from ipamd.models.pool import LINK_SCOPE, MAIN_TABLE, Pool, Route

_EVERYTHING: Final[dict[int, IPNetwork]] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def routes_of(grants: Sequence[Grant], additions: Additions, *, numbers: bool) -> Sequence[Route]:
    """Give the routes of the pools, then the configuration's, which count if both have one.

    Without `numbers` a result cannot say table and priority, so that one route for each prefix goes out.
    """
    pools = [grant.pool for grant in grants]
    routes = [route for pool in pools for route in pool.routes]
    outside = any(pool.gateway_on_link for pool in pools)
    if not routes and not outside and not additions.main_plugin_routes:
        return additions.routes if numbers else _one_each((), additions.routes, numbers=False)
    if additions.main_plugin_routes:
        routes += _defaults_on_link(pools) if outside else ()
    chosen = _one_each(routes, additions.routes, numbers=numbers)
    if outside:
        chosen = list(_through_gateways(pools, chosen))
    if additions.main_plugin_routes:
        chosen = [route for route in chosen if not _made_by_main_plugin(route)]
    return chosen


def is_beyond_subnet(address: IPAddress, pool: Pool) -> bool:
    """Tell whether containers need a route of its own to reach an address of their link.

    The kernel has one to the link-local addresses of IPv6 by itself.
    """
    return address not in pool.subnet and not (address.version == 6 and address.is_link_local)


def gateway_told(pool: Pool) -> IPAddress | None:
    """Give the gateway that stands beside an address of a pool.

    One outside the subnet stands in the routes alone: main plugins send whatever names no gateway through
    the one that stands here, the route to it included, and the kernel takes no such route.
    """
    gateway = pool.gateway
    if gateway is not None and pool.gateway_on_link and is_beyond_subnet(gateway, pool):
        return None
    return gateway


def _one_each(routes: Sequence[Route], own: Sequence[Route], *, numbers: bool) -> list[Route]:
    """Give one route for each destination: the configuration's first, of equals the one that comes first.

    Where no table can be said, those of the main table come before all others.
    """
    ranked = [*own, *routes]
    if not numbers:
        ranked.sort(key=lambda route: route.destination[1:] != (MAIN_TABLE, 0))
    chosen: dict[object, Route] = {}
    for route in ranked:
        chosen.setdefault(route.destination if numbers else route.dst, route)
    turns = dict.fromkeys(route.destination if numbers else route.dst for route in (*routes, *own))
    return [chosen[destination] for destination in turns]


def _through_gateways(pools: Sequence[Pool], routes: Sequence[Route]) -> Iterator[Route]:
    """Give routes with every gateway said, behind the routes to those that are outside their subnet."""
    said = [_said(route, pools) for route in routes]
    known = {route.dst for route in said if route.gw is None}
    for pool in pools:
        if not pool.gateway_on_link:
            continue
        used = [route.gw for route in said if route.gw is not None and route.gw.version == pool.family]
        for gateway in dict.fromkeys(([pool.gateway] if pool.gateway is not None else []) + used):
            alone = ip_network(gateway)
            if alone not in known and all(is_beyond_subnet(gateway, each) for each in pools):
                known.add(alone)
                yield Route(alone, scope=LINK_SCOPE)
    yield from sorted(said, key=lambda route: route.gw is not None)


def _said(route: Route, pools: Sequence[Pool]) -> Route:
    """Give a route that names no gateway with the one that main plugins would take, if told."""
    if route.gw is not None or (route.scope or 0) >= LINK_SCOPE:
        return route
    for pool in pools:
        if pool.family == route.dst.version and pool.gateway is not None:
            if gateway_told(pool) is None:
                return Route(
                    route.dst, pool.gateway, route.mtu, route.advmss, route.priority, route.table, route.scope
                )
            return route
    return route


def _defaults_on_link(pools: Sequence[Pool]) -> list[Route]:
    """Give the default routes that a main plugin would make, and cannot as it is told no gateway."""
    return [
        Route(_EVERYTHING[pool.family], pool.gateway)
        for pool in pools
        if pool.gateway is not None and gateway_told(pool) is None
    ]


def _made_by_main_plugin(route: Route) -> bool:
    """Tell whether the main plugin makes such a route itself: it knows only those with a gateway as made."""
    return route.gw is None and route.destination == (_EVERYTHING[route.dst.version], MAIN_TABLE, 0)
