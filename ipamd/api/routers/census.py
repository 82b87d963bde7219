"""Censuses: what a node's containers hold, and what its agent says is dead of it."""

from __future__ import annotations

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request, Response

from ipamd.api.routers.access import Asker, TheEngine
from ipamd.api.schemas.census import (
    BODY,
    HeldQuery,
    ShownAnswer,
    ShownHeldRows,
    answer_document,
    held_document,
    read,
    who_speaks,
)
from ipamd.models.errors import NotAllowed
from ipamd.models.node import NodeKey
from ipamd.models.token import Role

router = APIRouter(prefix="/v1/census", tags=["census"])
log = structlog.get_logger()

JSON: Final = "application/json"


@router.get("", response_model=ShownHeldRows)
async def list_held(query: Annotated[HeldQuery, Query()], engine: TheEngine) -> Response:
    """List what the containers of a node hold, by id: an agent reads what is new after its last row."""
    node = NodeKey(query.cluster, query.node)
    with engine.census_shares.taken(node):
        timeline, rows = await engine.censuses.held_on(node, query.after, query.limit + 1)
    return Response(held_document(timeline, rows, query.limit), media_type=JSON)


@router.post("", response_model=ShownAnswer, openapi_extra=BODY)
async def take(call: Request, engine: TheEngine, asker: Asker) -> Response:
    """Free what is surely dead of what a node's agent says is.

    What is of an earlier boot is freed as soon as the new boot is heard, other allocations with the second
    report, a grace after the first. Another boot is heard after a while (409, `census-settling`), another
    machine when an admin has released the node (409, `census-superseded`). An agent that speaks again and
    again is told to wait (429, `census-too-often`).
    """
    body = await call.body()
    node = who_speaks(body)
    if asker is not None and asker.role is Role.NODE and asker.node != node:
        raise NotAllowed(f"{asker.name} speaks for node {node.name} of cluster {node.cluster}")
    with engine.census_shares.taken(node):
        spoken = read(body)
        answered = await engine.censuses.hear(spoken)
    engine.heard_from(spoken.node)
    if answered.freed or answered.waiting:
        log.info(
            "census",
            outcome="taken",
            node=spoken.node.name,
            freed=answered.freed,
            waiting=answered.waiting,
        )
    return Response(answer_document(answered), media_type=JSON)
