"""Rows to values and back: pools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.session import Values
from ipamd.models.address import AddressRange, parse_address, parse_network
from ipamd.models.pool import Affinity, Dns, Pool, PoolState, Route, Selectors


def pool_values(pool: Pool) -> Values:
    """The columns of `pool` in their order."""
    return (
        pool.name,
        pool.space,
        str(pool.subnet),
        json.dumps([str(one) for one in pool.ranges]),
        json.dumps([str(one) for one in pool.exclusions]),
        str(pool.gateway) if pool.gateway is not None else None,
        pool.gateway_on_link,
        json.dumps([_route_json(route) for route in pool.routes]),
        json.dumps(_dns_json(pool.dns)),
        pool.block_length,
        pool.prefix_length,
        pool.affinity.value,
        pool.cooldown,
        pool.state.value,
        pool.priority,
        pool.auto_assign,
        pool.masquerade,
        pool.borrow,
        pool.lease,
        pool.sticky,
        pool.owner_keep,
        json.dumps(_selectors_json(pool.selectors)),
        pool.revision,
    )


def pool_of(row: Row) -> Pool:
    """A pool from its row."""
    (
        name,
        space,
        subnet,
        ranges,
        exclusions,
        gateway,
        gateway_on_link,
        routes,
        dns,
        block_length,
        prefix_length,
        affinity,
        cooldown,
        state,
        priority,
        auto_assign,
        masquerade,
        borrow,
        lease,
        sticky,
        owner_keep,
        selectors,
        revision,
    ) = row
    return Pool(
        name=name,
        space=space,
        subnet=parse_network(subnet),
        ranges=tuple(AddressRange.parse(one) for one in json.loads(ranges)),
        exclusions=tuple(AddressRange.parse(one) for one in json.loads(exclusions)),
        gateway=None if gateway is None else parse_address(gateway),
        gateway_on_link=bool(gateway_on_link),
        routes=tuple(_route_of(route) for route in json.loads(routes)),
        dns=_dns_of(json.loads(dns)),
        block_length=block_length,
        prefix_length=prefix_length,
        affinity=Affinity(affinity),
        cooldown=cooldown,
        state=PoolState(state),
        priority=priority,
        auto_assign=bool(auto_assign),
        masquerade=bool(masquerade),
        borrow=bool(borrow),
        lease=lease,
        sticky=bool(sticky),
        owner_keep=owner_keep,
        selectors=_selectors_of(json.loads(selectors)),
        revision=revision,
    )


def _route_json(route: Route) -> dict[str, Any]:
    numbers = {name: getattr(route, name) for name in ("mtu", "advmss", "priority", "table", "scope")}
    given = {name: number for name, number in numbers.items() if number is not None}
    return {"dst": str(route.dst), "gw": str(route.gw) if route.gw is not None else None, **given}


def _route_of(route: Mapping[str, Any]) -> Route:
    numbers = {name: value for name, value in route.items() if name not in ("dst", "gw")}
    gateway = None if route["gw"] is None else parse_address(route["gw"])
    return Route(dst=parse_network(route["dst"]), gw=gateway, **numbers)


def _dns_json(dns: Dns) -> dict[str, Any]:
    return {
        "nameservers": dns.nameservers,
        "domain": dns.domain,
        "search": dns.search,
        "options": dns.options,
    }


def _dns_of(dns: Mapping[str, Any]) -> Dns:
    return Dns(tuple(dns["nameservers"]), dns["domain"], tuple(dns["search"]), tuple(dns["options"]))


def _selectors_json(selectors: Selectors) -> dict[str, Any]:
    return {
        "clusters": selectors.clusters,
        "networks": selectors.networks,
        "nodes": selectors.nodes,
        "node_labels": dict(selectors.node_labels),
        "namespaces": selectors.namespaces,
    }


def _selectors_of(selectors: Mapping[str, Any]) -> Selectors:
    return Selectors(
        clusters=tuple(selectors["clusters"]),
        networks=tuple(selectors["networks"]),
        nodes=tuple(selectors["nodes"]),
        node_labels=selectors["node_labels"],
        namespaces=tuple(selectors["namespaces"]),
    )
