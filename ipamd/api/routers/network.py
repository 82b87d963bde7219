"""The pod network of a cluster: its settings, its nodes, and a long poll for changes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response

from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.routers.access import Asker, CurrentCatalogue, TheEngine
from ipamd.api.schemas.pod_network import (
    ChangesQuery,
    NetworkPatch,
    NetworkQuery,
    Publication,
    ShownChanges,
    ShownMember,
    ShownNetwork,
    ShownSettings,
    changes_document,
    member_document,
    network_document,
    settings_document,
)
from ipamd.api.schemas.text import NodeName, Word
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.pod_network import NetworkView
from ipamd.models.node import NodeKey, node_name
from ipamd.models.pod_network import NetworkPosition, PodNetwork
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.token import Principal, Role

router = APIRouter(prefix="/v1/network", tags=["network"])
log = structlog.get_logger()

SHARED = 64
"""For how many answers the bytes are kept: thousands of nodes ask for the same."""

JSON = "application/json"


@router.get("", response_model=ShownNetwork)
async def read_network(query: Annotated[NetworkQuery, Query()], engine: TheEngine, asker: Asker) -> Response:
    """Show a pod network: settings, announced pools, and each node with what is routed to it.

    The ETag is that of the settings. If a node names its `machine`, it gets what was true some seconds ago,
    without an ETag, and follows the changes from there.
    """
    _note(query, engine, asker)
    if query.machine is not None:
        whole = await engine.network_queries.shared_whole(query.cluster, _encoded_whole)
        return Response(whole, media_type=JSON)
    view = await engine.network_queries.whole(query.cluster)
    tag = entity_tag(view.settings.revision if view.settings is not None else 0)
    return Response(json.dumps(network_document(view)), headers=tag, media_type=JSON)


@router.patch("")
async def change_settings(
    body: NetworkPatch,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    cluster: Annotated[Word, Query()] = DEFAULT_CLUSTER,
    if_match: IfMatch = None,
) -> ShownSettings:
    """Change the settings. Agents follow within seconds."""
    known = catalogue.snapshot.networks.get(cluster, PodNetwork(cluster=cluster))
    expected = expected_revision(if_match, known.revision)
    changed = await engine.networks.edit(cluster, body.apply, expected)
    log.info("network", outcome="changed", cluster=cluster, changes=body.model_dump(exclude_unset=True))
    response.headers.update(entity_tag(changed.revision))
    return settings_document(changed)


@router.get("/changes", response_model=ShownChanges)
async def read_changes(query: Annotated[ChangesQuery, Query()], engine: TheEngine, asker: Asker) -> Response:
    """Show what has changed after a number; if nothing has, wait for it.

    If the number is too old, or of another epoch, the answer is 410: read all again.
    """
    return Response(await changes_body(query, engine, asker), media_type=JSON)


async def changes_body(query: ChangesQuery, engine: Engine, asker: Principal | None) -> bytes:
    """The answer to a poll, without its form. Raises NetworkChangesTooOld or Unavailable."""
    _note(query, engine, asker)
    position = NetworkPosition(query.epoch, query.after)
    return _encoded(await engine.network_queries.changes(query.cluster, position, query.wait))


@router.put("/nodes/{cluster:name}/{name:name}")
async def publish_node(
    cluster: Annotated[Word, Path()],
    name: Annotated[NodeName, Path()],
    body: Publication,
    engine: TheEngine,
) -> ShownMember:
    """Publish a node. The answer has its own addresses in the pod network and its first blocks.

    It is refused if another machine lives under this name (409, `node-name-taken`), or another node with
    this address (409, `node-address-taken`).
    """
    node = await engine.publishing.publish(NodeKey(cluster, name), body.value())
    log.info("network", outcome="published", cluster=cluster, node=name, address=body.address)
    return member_document(node)


@lru_cache(SHARED)
def _encoded(view: NetworkView) -> bytes:
    return json.dumps(changes_document(view)).encode()


def _encoded_whole(view: NetworkView) -> bytes:
    return json.dumps(network_document(view)).encode()


def _note(query: NetworkQuery, engine: Engine, asker: Principal | None) -> None:
    """Note that a node follows: the one that a token is for, else the one that is named."""
    if asker is not None and asker.role is Role.NODE and asker.node is not None:
        engine.publishing.heard_from(asker.node, query.machine)
    elif query.node is not None:
        engine.publishing.heard_from(NodeKey(query.cluster, node_name(query.node)), query.machine)
