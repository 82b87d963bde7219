"""Nodes: their labels, their last contact, and how they get tokens."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Response

from ipamd.api.paging import PageQuery, page
from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.routers.access import Asker, CurrentCatalogue, Page, TheEngine
from ipamd.api.schemas.census import FreeDead, ShownFreed
from ipamd.api.schemas.node import (
    Evicted,
    NodeFilter,
    NodeLabels,
    NodeRelease,
    ShownNode,
    ShownRemoved,
    document_of,
)
from ipamd.api.schemas.text import NodeName, Word
from ipamd.api.schemas.token import Joining, MadeToken
from ipamd.api.schemas.token import document_of as token_document
from ipamd.engine.allocation.collection import Eviction
from ipamd.models.errors import NotAllowed, NotFound
from ipamd.models.holding import NOTHING
from ipamd.models.node import Node, NodeKey
from ipamd.models.query import ContactQuery

router = APIRouter(prefix="/v1/nodes", tags=["nodes"])
log = structlog.get_logger()

Segment = Annotated[Word, Path()]
NodeSegment = Annotated[NodeName, Path()]


class NodesQuery(NodeFilter, PageQuery):
    """Which nodes, and which page of them."""


@router.get("", response_model=Page[ShownNode])
async def list_nodes(
    query: Annotated[NodesQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List the nodes that have called or have labels, by cluster and name."""
    known = catalogue.snapshot.nodes
    names, most = query.after_names(2), query.limit + 1
    after = NodeKey(*names) if names is not None else None
    contacts = await engine.contacts(ContactQuery(cluster=query.cluster, after=after, limit=most))
    labelled = islice(catalogue.nodes_after(after, query.cluster), most)
    keys = sorted({*contacts, *labelled})[:most]
    shown = keys[: query.limit]
    members = await engine.network_queries.members(shown, contacts)
    standings = await engine.nodes.standings(shown, contacts)
    return page(
        keys,
        query.limit,
        lambda key: document_of(
            known.get(key) or Node(cluster=key.cluster, name=key.name), standings[key], members.get(key)
        ),
        list,
    )


@router.post("/join", status_code=HTTPStatus.CREATED)
async def join(body: Joining, engine: TheEngine, asker: Asker, response: Response) -> MadeToken:
    """Give a node its token. The request needs a join token or the node's own token, and the node's proof.

    From then on the proof belongs to the node's name: another proof is refused.
    """
    if asker is None:
        raise NotAllowed("there are no tokens yet: make a join token, and show it")
    made = await engine.tokens.join(body.node, body.proof, asker)
    token = made.token
    log.info("node", outcome="joined", cluster=token.cluster, node=token.node, token=token.id)
    response.headers["Cache-Control"] = "no-store"
    return {**token_document(token, None), "token": made.text}


@router.get("/{cluster:name}/{name:name}")
async def read_node(
    cluster: Segment, name: NodeSegment, engine: TheEngine, catalogue: CurrentCatalogue, response: Response
) -> ShownNode:
    """Show one node that has called or has labels. A node without labels has no ETag."""
    key = NodeKey(cluster, name)
    node = catalogue.snapshot.nodes.get(key)
    standing = await engine.nodes.standing(key)
    if node is not None:
        response.headers.update(entity_tag(node.revision))
    elif standing.heard is None and standing.holding == NOTHING:
        raise NotFound("node", f"{cluster}/{name}")
    member = await engine.network_queries.member(key)
    return document_of(node or Node(cluster=cluster, name=name), standing, member)


@router.put(
    "/{cluster:name}/{name:name}", responses={HTTPStatus.CREATED: {"description": "Made", "model": ShownNode}}
)
async def save_node(
    cluster: Segment,
    name: NodeSegment,
    body: NodeLabels,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    if_match: IfMatch = None,
) -> ShownNode:
    """Set all labels of a node. The node need not be known yet."""
    key = NodeKey(cluster, name)
    known = catalogue.snapshot.nodes.get(key)
    expected = expected_revision(if_match, known.revision if known is not None else None)
    await engine.nodes.refuse_unknown_names("name", [key])
    node = await engine.administration.save_node(
        Node(cluster=cluster, name=name, labels=body.labels), expected
    )
    log.info("node", outcome="labelled", cluster=cluster, node=name, labels=dict(node.labels))
    if known is None:
        response.status_code = HTTPStatus.CREATED
    response.headers.update(entity_tag(node.revision))
    member = await engine.network_queries.member(key)
    return document_of(node, await engine.nodes.standing(key), member)


@router.delete("/{cluster:name}/{name:name}", status_code=HTTPStatus.NO_CONTENT)
async def delete_node(
    cluster: Segment,
    name: NodeSegment,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    asker: Asker,
    if_match: IfMatch = None,
    keep_lease: bool = False,
) -> None:
    """Forget a node: its labels, its tokens, and that it joined. Its containers keep their addresses.

    The other nodes take back the routes to it. If it holds addresses in advance, it is refused (409,
    `node-holds-seats`) without `keep_lease`, which says that the node comes back to them.
    """
    key = NodeKey(cluster, name)
    node = catalogue.snapshot.nodes.get(key)
    expected = expected_revision(if_match, node.revision if node is not None else None)
    by = asker.name if asker is not None else None
    await engine.forget_node(key, expected, by, keep_lease=keep_lease)
    log.info("node", outcome="forgotten", cluster=cluster, node=name)


@router.post("/{cluster:name}/{name:name}/release")
async def release_node(
    cluster: Segment, name: NodeSegment, body: NodeRelease, engine: TheEngine, asker: Asker
) -> Evicted:
    """Release what the containers of a dead node hold. History says who did it, and why.

    It is refused if the node called lately (409, `node-alive`), or may still give addresses of its lease
    (409, `node-may-give`). If it is interrupted, send it again: it goes on.
    """
    eviction = _eviction(cluster, name, body, asker)
    freed = await engine.removal.release(eviction, even_if_alive=body.even_if_alive)
    log.info("node", outcome="released", cluster=cluster, node=name, addresses=freed.released, why=body.why)
    return {"cluster": cluster, "name": name, "released": freed.released}


@router.post("/{cluster:name}/{name:name}/drain")
async def drain_node(cluster: Segment, name: NodeSegment, engine: TheEngine) -> ShownNode:
    """Give the containers of a node nothing new, and recall what it holds in advance."""
    return await _drain(NodeKey(cluster, name), engine, draining=True)


@router.post("/{cluster:name}/{name:name}/undrain")
async def undrain_node(cluster: Segment, name: NodeSegment, engine: TheEngine) -> ShownNode:
    """Give to the containers of a node again."""
    return await _drain(NodeKey(cluster, name), engine, draining=False)


async def _drain(key: NodeKey, engine: TheEngine, *, draining: bool) -> ShownNode:
    await engine.removal.drain(key, draining=draining)
    log.info("node", outcome="drained" if draining else "undrained", cluster=key.cluster, node=key.name)
    node = engine.catalogue.snapshot.nodes.get(key) or Node(cluster=key.cluster, name=key.name)
    return document_of(node, await engine.nodes.standing(key), await engine.network_queries.member(key))


@router.post("/{cluster:name}/{name:name}/remove", response_model=ShownRemoved)
async def remove_node(
    cluster: Segment, name: NodeSegment, body: NodeRelease, engine: TheEngine, asker: Asker
) -> dict[str, Any]:
    """Release all that a node holds that is gone for good, give back its blocks, and forget it.

    It is refused as a release is. If it is interrupted, send it again: it goes on.
    """
    eviction = _eviction(cluster, name, body, asker)
    removed = await engine.removal.remove(eviction, even_if_alive=body.even_if_alive)
    log.info("node", outcome="removed", cluster=cluster, node=name, why=body.why, **asdict(removed))
    return {"cluster": cluster, "name": name, **asdict(removed)}


def _eviction(cluster: str, name: str, body: NodeRelease, asker: Asker) -> Eviction:
    by = asker.name if asker is not None else None
    return Eviction(node=NodeKey(cluster, name), reason=body.why, by=by)


@router.post("/{cluster:name}/{name:name}/free-dead")
async def free_dead(
    cluster: Segment, name: NodeSegment, body: FreeDead, engine: TheEngine, asker: Asker
) -> ShownFreed:
    """Release what a node's agent has reported dead, and what waits for an admin since it is too much.

    Only what was reported twice is released, and nothing of which a call was told since.
    """
    by = asker.name if asker is not None else None
    freed = await engine.censuses.free_dead(NodeKey(cluster, name), by, body.why)
    log.info("node", outcome="dead freed", cluster=cluster, node=name, addresses=freed, why=body.why)
    return {"cluster": cluster, "name": name, "released": freed}
