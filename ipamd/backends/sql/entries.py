"""Rows to values and back: the entries of the catalogue but for pools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ipamd.backends.sql.rows import Row, address_of
from ipamd.backends.sql.session import Values
from ipamd.models.address import AddressRange, parse_address, parse_network
from ipamd.models.hold import Hold, HoldState
from ipamd.models.node import Node
from ipamd.models.pod_network import PodNetwork, PodNetworkMode, Published, Underlay
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.token import Role, Token


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


def hold_values(hold: Hold) -> Values:
    """The columns of `hold` in their order."""
    return (
        hold.name,
        hold.size,
        hold.pool,
        json.dumps(hold.namespaces),
        json.dumps(hold.workloads),
        json.dumps(hold.clusters),
        hold.since,
        hold.seconds,
        hold.state.value,
        hold.revision,
    )


def hold_of(row: Row) -> Hold:
    """A hold from its row."""
    name, size, pool, namespaces, workloads, clusters, since, seconds, state, revision = row
    return Hold(
        name=name,
        size=size,
        pool=pool,
        namespaces=tuple(json.loads(namespaces)),
        workloads=tuple(json.loads(workloads)),
        clusters=tuple(json.loads(clusters)),
        since=since,
        seconds=seconds,
        state=HoldState(state),
        revision=revision,
    )


def quota_values(quota: Quota) -> Values:
    """The columns of `quota` in their order."""
    return (
        quota.name,
        quota.limit,
        json.dumps(quota.namespaces),
        json.dumps(quota.clusters),
        quota.family,
        quota.pool,
        quota.space,
        quota.shared,
        quota.counting,
        quota.revision,
    )


def quota_of(row: Row) -> Quota:
    """A quota from its row."""
    name, limit, namespaces, clusters, family, pool, space, shared, counting, revision = row
    return Quota(
        name=name,
        limit=limit,
        namespaces=tuple(json.loads(namespaces)),
        clusters=tuple(json.loads(clusters)),
        family=family,
        pool=pool,
        space=space,
        shared=bool(shared),
        counting=bool(counting),
        revision=revision,
    )


def node_values(node: Node) -> Values:
    """The columns of `node` in their order."""
    published = json.dumps(_published_json(node.published)) if node.published is not None else None
    labels = json.dumps(dict(node.labels))
    states = node.draining, node.listed, node.gone_since
    return node.cluster, node.name, labels, node.revision, node.proof, published, *states


def node_of(row: Row) -> Node:
    """A node from its row."""
    cluster, name, labels, revision, proof, published, draining, listed, gone_since = row
    return Node(
        cluster=cluster,
        name=name,
        labels=json.loads(labels),
        proof=proof,
        published=None if published is None else _published_of(json.loads(published)),
        draining=bool(draining),
        listed=bool(listed),
        gone_since=gone_since,
        revision=revision,
    )


def _published_json(published: Published) -> dict[str, Any]:
    return {
        "machine": published.machine,
        "address": str(published.address),
        "prefixes": [str(prefix) for prefix in published.prefixes],
        "mtu": published.mtu,
        "mac": published.mac,
        "version": published.version,
        "at": published.at,
    }


def _published_of(published: Mapping[str, Any]) -> Published:
    address = parse_address(published["address"])
    prefixes = tuple(map(parse_network, published["prefixes"]))
    return Published(**{**published, "address": address, "prefixes": prefixes})


def network_values(network: PodNetwork) -> Values:
    """The columns of `pod_network` in their order."""
    settings = {
        "mode": network.mode.value,
        "underlay": network.underlay.value,
        "vxlan_port": network.vxlan_port,
        "vxlan_vni": network.vxlan_vni,
        "masquerade_except": [str(prefix) for prefix in network.masquerade_except],
        "check_sources": network.check_sources,
    }
    return network.cluster, json.dumps(settings), network.revision


def network_of(row: Row) -> PodNetwork:
    """The settings of a pod network from their row."""
    cluster, text, revision = row
    settings = json.loads(text)
    settings["mode"] = PodNetworkMode(settings["mode"])
    settings["underlay"] = Underlay(settings["underlay"])
    settings["masquerade_except"] = tuple(map(parse_network, settings["masquerade_except"]))
    return PodNetwork(cluster=cluster, revision=revision, **settings)


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
