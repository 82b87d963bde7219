"""Rows to values and back."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from ipamd.backends.interface import RememberedRelease
from ipamd.backends.sql.session import Values
from ipamd.models.address import AddressRange, IPAddress, parse_address, parse_network
from ipamd.models.allocation import Allocation, Ending, Idempotency, NetworkNamespace, Workload
from ipamd.models.block import Block
from ipamd.models.identity import Identity, Owner
from ipamd.models.issued import Order
from ipamd.models.node import Node, NodeKey
from ipamd.models.pool import Affinity, Dns, Pool, PoolState, Route, Selectors
from ipamd.models.reservation import Reservation
from ipamd.models.token import Role, Token

Row = Sequence[Any]

NUMBER_BYTES: Final = 16
CURSOR_BYTES: Final = 17
_NO_IDENTITY: Final = (None, None, None, None, None)


def address_of(packed: bytes) -> IPAddress:
    """An address from its packed bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def number_bytes(number: int) -> bytes:
    """A block's number, or an address's value, as bytes whose order is that of the numbers."""
    return number.to_bytes(NUMBER_BYTES, "big")


def cursor_bytes(cursor: int) -> bytes:
    """A place in a pool; one past the last address of IPv6 needs a bit more than an address."""
    return cursor.to_bytes(CURSOR_BYTES, "big")


# Allocations.


def allocation_values(allocation: Allocation) -> Values:
    """A row to add: the columns of `allocation` in their order, without `id`."""
    holder, workload, netns = allocation.holder, allocation.workload, allocation.netns
    identity: tuple[str | None, ...] = _NO_IDENTITY
    if isinstance(holder, Identity):
        identity = (holder.cluster, holder.network, holder.node, holder.container_id, holder.ifname)
    idempotency = allocation.idempotency
    return (
        allocation.space,
        allocation.address.packed,
        allocation.pool,
        int(allocation.address) - allocation.block,
        allocation.digest,
        allocation.position,
        *identity,
        holder.name if isinstance(holder, Owner) else None,
        workload.namespace,
        _listed_name(workload),
        workload.uid,
        allocation.boot,
        netns.device if netns is not None else None,
        netns.inode if netns is not None else None,
        allocation.since,
        allocation.until,
        allocation.ending.value if allocation.ending is not None else None,
        allocation.generation,
        *allocation.taken,
        *allocation.repeated,
        idempotency.key if idempotency is not None else None,
        idempotency.body if idempotency is not None else None,
        allocation.begun_by,
        allocation.ended_by,
        allocation.reason,
    )


def _listed_name(workload: Workload) -> str | None:
    """Empty, not null, where there is a namespace: lists of one go by the name, and null has no place."""
    return workload.name or "" if workload.namespace is not None else workload.name


def allocation_of(row: Row) -> Allocation:
    """An allocation from its row, the columns of `allocation` in their order."""
    (
        row_id,
        space,
        packed,
        pool,
        place,
        digest,
        position,
        cluster,
        network,
        node,
        container_id,
        ifname,
        owner,
        namespace,
        name,
        uid,
        boot,
        netns_device,
        netns_inode,
        since,
        until,
        ending,
        generation,
        taken_boot,
        taken_uptime,
        repeated_boot,
        repeated_uptime,
        idempotency_key,
        idempotency_body,
        begun_by,
        ended_by,
        reason,
    ) = row
    address = address_of(packed)
    return Allocation(
        id=row_id,
        space=space,
        address=address,
        pool=pool,
        block=int(address) - place,
        holder=Identity(cluster, network, node, container_id, ifname)
        if owner is None
        else Owner(owner, digest),
        digest=digest,
        position=position,
        workload=Workload(namespace, name or None, uid),
        boot=boot,
        netns=None if netns_inode is None else NetworkNamespace(netns_device, netns_inode),
        since=since,
        until=until,
        ending=None if ending is None else Ending(ending),
        generation=generation,
        taken=Order(taken_boot, taken_uptime),
        repeated=Order(repeated_boot, repeated_uptime),
        idempotency=None if idempotency_key is None else Idempotency(idempotency_key, idempotency_body),
        begun_by=begun_by,
        ended_by=ended_by,
        reason=reason,
    )


# Releases.


def release_values(release: RememberedRelease) -> Values:
    """A row to add: the columns of `release` in their order, without `id`."""
    return release.digest, release.order.boot, release.order.uptime_ns, release.undo, release.until


def release_of(row: Row) -> RememberedRelease:
    """A release from its row without `id`."""
    digest, boot, uptime, undo, until = row
    return RememberedRelease(digest, Order(boot, uptime), bool(undo), until)


# Blocks.


def block_values(block: Block) -> Values:
    """The columns of `block` in their order."""
    return (
        block.pool,
        number_bytes(block.first),
        block.node.cluster if block.node is not None else None,
        block.node.name if block.node is not None else None,
        _little_endian(block.free_since).tobytes(),
        block.allocated,
        block.last_freed,
        block.next_free_since,
    )


def block_of(row: Row) -> Block:
    """A block from its row."""
    pool, first, cluster, node, free_since, allocated, last_freed, next_free_since = row
    instants = array("q", free_since)
    return Block(
        pool=pool,
        first=int.from_bytes(first, "big"),
        node=None if node is None else NodeKey(cluster, node),
        free_since=_little_endian(instants),
        allocated=allocated,
        last_freed=last_freed,
        next_free_since=next_free_since,
    )


def _little_endian(instants: array[int]) -> array[int]:
    """The same on most machines; swapped on the others, so that a database may move between them."""
    if sys.byteorder == "little":
        return instants
    swapped = array("q", instants)
    swapped.byteswap()
    return swapped


# The catalogue.


def pool_values(pool: Pool) -> Values:
    """The columns of `pool` in their order."""
    return (
        pool.name,
        pool.space,
        str(pool.subnet),
        json.dumps([str(one) for one in pool.ranges]),
        json.dumps([str(one) for one in pool.exclusions]),
        str(pool.gateway) if pool.gateway is not None else None,
        json.dumps([_route_json(route) for route in pool.routes]),
        json.dumps(_dns_json(pool.dns)),
        pool.block_length,
        pool.affinity.value,
        pool.cooldown,
        pool.state.value,
        pool.priority,
        pool.auto_assign,
        pool.masquerade,
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
        routes,
        dns,
        block_length,
        affinity,
        cooldown,
        state,
        priority,
        auto_assign,
        masquerade,
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
        routes=tuple(_route_of(route) for route in json.loads(routes)),
        dns=_dns_of(json.loads(dns)),
        block_length=block_length,
        affinity=Affinity(affinity),
        cooldown=cooldown,
        state=PoolState(state),
        priority=priority,
        auto_assign=bool(auto_assign),
        masquerade=bool(masquerade),
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


def reservation_values(reservation: Reservation) -> Values:
    """The columns of `reservation` in their order."""
    return (
        reservation.id,
        reservation.space,
        reservation.addresses.first.packed,
        reservation.addresses.last.packed,
        reservation.namespace,
        reservation.name,
        reservation.owner,
        reservation.note,
        reservation.revision,
    )


def reservation_of(row: Row) -> Reservation:
    """A reservation from its row."""
    row_id, space, first, last, namespace, name, owner, note, revision = row
    return Reservation(
        id=row_id,
        addresses=AddressRange(address_of(first), address_of(last)),
        space=space,
        namespace=namespace,
        name=name,
        owner=owner,
        note=note,
        revision=revision,
    )


def node_values(node: Node) -> Values:
    """The columns of `node` in their order."""
    return node.cluster, node.name, json.dumps(dict(node.labels)), node.revision, node.proof


def node_of(row: Row) -> Node:
    """A node from its row."""
    cluster, name, labels, revision, proof = row
    return Node(cluster=cluster, name=name, labels=json.loads(labels), proof=proof, revision=revision)


def token_values(token: Token) -> Values:
    """The columns of `token` in their order."""
    return (
        token.id,
        token.hash,
        token.role.value,
        token.name,
        token.cluster,
        token.node,
        token.created,
        token.created_by,
        token.expires,
        token.previous,
        token.previous_until,
        token.revision,
    )


def token_of(row: Row) -> Token:
    """A token from its row."""
    row_id, digest, role, name, cluster, node, created, created_by, expires, previous, until, revision = row
    return Token(
        id=row_id,
        hash=digest,
        role=Role(role),
        name=name,
        cluster=cluster,
        node=node,
        created=created,
        created_by=created_by,
        expires=expires,
        previous=previous,
        previous_until=until,
        revision=revision,
    )
