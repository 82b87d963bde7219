"""What admins state as JSON: in REST, in files and in the change log. Pure."""

from __future__ import annotations

from typing import Any

from ipamd.models.hold import Hold
from ipamd.models.instant import rfc3339
from ipamd.models.pod_network import PodNetwork
from ipamd.models.pool import Dns, Pool, Route, Selectors
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.token import Token

Document = dict[str, Any]


def pool_document(pool: Pool) -> Document:
    """A pool, every field."""
    return {
        "name": pool.name,
        "space": pool.space,
        "subnet": str(pool.subnet),
        "ranges": [str(each) for each in pool.ranges],
        "exclusions": [str(each) for each in pool.exclusions],
        "gateway": str(pool.gateway) if pool.gateway is not None else None,
        "gateway_on_link": pool.gateway_on_link,
        "routes": [route_document(route) for route in pool.routes],
        "dns": _dns(pool.dns),
        "block_size": pool.block_length,
        "prefix_length": pool.prefix_length,
        "affinity": pool.affinity.value,
        "cooldown": pool.cooldown,
        "state": pool.state.value,
        "priority": pool.priority,
        "auto_assign": pool.auto_assign,
        "masquerade": pool.masquerade,
        "borrow": pool.borrow,
        "lease": pool.lease,
        "sticky": pool.sticky,
        "owner_keep": pool.owner_keep,
        "selectors": _selectors(pool.selectors),
    }


def route_document(route: Route) -> Document:
    """A route, without absent fields."""
    given: Document = {"dst": str(route.dst)}
    if route.gw is not None:
        given["gw"] = str(route.gw)
    numbers = {name: getattr(route, name) for name in ("mtu", "advmss", "priority", "table", "scope")}
    return given | {name: number for name, number in numbers.items() if number is not None}


def reservation_document(reservation: Reservation) -> Document:
    """A reservation, every field."""
    return {
        "id": reservation.id,
        "address": str(reservation.addresses),
        "space": reservation.space,
        "namespace": reservation.namespace,
        "name": reservation.name,
        "owner": reservation.owner,
        "note": reservation.note,
    }


def quota_document(quota: Quota) -> Document:
    """A quota as an admin states it, every field."""
    return {
        "name": quota.name,
        "limit": quota.limit,
        "namespaces": list(quota.namespaces),
        "clusters": list(quota.clusters),
        "family": quota.family,
        "pool": quota.pool,
        "space": quota.space,
        "shared": quota.shared,
    }


def hold_document(hold: Hold) -> Document:
    """A hold as an admin states it, every field, and since when it is there."""
    return {
        "name": hold.name,
        "size": hold.size,
        "pool": hold.pool,
        "namespaces": list(hold.namespaces),
        "workloads": list(hold.workloads),
        "clusters": list(hold.clusters),
        "seconds": hold.seconds,
        "since": rfc3339(hold.since),
    }


def token_document(token: Token) -> Document:
    """A token, without its secret and its hash."""
    return {
        "id": token.id,
        "role": token.role.value,
        "name": token.name,
        "cluster": token.cluster,
        "node": token.node,
        "created": rfc3339(token.created),
        "created_by": token.created_by,
        "expires": rfc3339(token.expires) if token.expires is not None else None,
    }


def settings_document(network: PodNetwork) -> Document:
    """The settings of a pod network."""
    return {
        "mode": network.mode.value,
        "underlay": network.underlay.value,
        "vxlan": {"port": network.vxlan_port, "vni": network.vxlan_vni},
        "masquerade_except": [str(prefix) for prefix in network.masquerade_except],
        "check_sources": network.check_sources,
    }


def _dns(dns: Dns) -> Document:
    return {
        "nameservers": list(dns.nameservers),
        "domain": dns.domain,
        "search": list(dns.search),
        "options": list(dns.options),
    }


def _selectors(selectors: Selectors) -> Document:
    return {
        "clusters": list(selectors.clusters),
        "networks": list(selectors.networks),
        "nodes": list(selectors.nodes),
        "node_labels": dict(selectors.node_labels),
        "namespaces": list(selectors.namespaces),
    }
