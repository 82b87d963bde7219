"""Holds: addresses that are kept for workloads which are still to come."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.paging import PageQuery, page_of_names
from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.routers.access import CurrentCatalogue, Page, TheEngine
from ipamd.api.schemas.hold import HoldPatch, NewHold, ShownHold, document_of
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.errors import NotFound
from ipamd.models.hold import Hold, HoldUse

router = APIRouter(prefix="/v1/holds", tags=["holds"])
log = structlog.get_logger()


@router.post("", status_code=HTTPStatus.CREATED)
async def create_hold(body: NewHold, engine: TheEngine, response: Response) -> ShownHold:
    """Hold addresses for workloads. If not all of them are free, nothing is held (409, `hold-unfilled`)."""
    hold = await engine.holds.create(body.value())
    log.info("hold", outcome="created", hold=hold.name, pool=hold.pool, size=hold.size, seconds=hold.seconds)
    response.headers["Location"] = f"/v1/holds/{hold.name}"
    return await _shown(hold, engine, response)


@router.get("", response_model=Page[ShownHold])
async def list_holds(
    query: Annotated[PageQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List all holds, by name."""
    holds = list(catalogue.snapshot.holds.values())
    uses = await engine.queries.uses_of_holds()
    reading = engine.clock.read()
    return page_of_names(
        holds,
        query,
        lambda hold: document_of(hold, uses.get(hold.name, HoldUse()), reading),
        lambda hold: (hold.name,),
    )


@router.get("/{name}")
async def read_hold(
    name: str, engine: TheEngine, catalogue: CurrentCatalogue, response: Response
) -> ShownHold:
    """Show one hold: how much of it is left, and until when."""
    return await _shown(_hold(catalogue, name), engine, response)


@router.patch("/{name}")
async def change_hold(
    name: str,
    body: HoldPatch,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    if_match: IfMatch = None,
) -> ShownHold:
    """Change by a merge patch for whom a hold is, and for how long. Its size and its pool stay."""
    expected = expected_revision(if_match, _hold(catalogue, name).revision)
    hold = await engine.holds.edit(name, body.apply, expected)
    log.info("hold", outcome="changed", hold=name, seconds=hold.seconds)
    return await _shown(hold, engine, response)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
async def release_hold(
    name: str, engine: TheEngine, catalogue: CurrentCatalogue, if_match: IfMatch = None
) -> None:
    """End a hold before its time: what is left goes back to its pool. What workloads have stays theirs."""
    expected = expected_revision(if_match, _hold(catalogue, name).revision)
    await engine.holds.release(name, expected)
    log.info("hold", outcome="released", hold=name)


def _hold(catalogue: Catalogue, name: str) -> Hold:
    hold = catalogue.snapshot.holds.get(name)
    if hold is None:
        raise NotFound("hold", name)
    return hold


async def _shown(hold: Hold, engine: Engine, response: Response) -> ShownHold:
    response.headers.update(entity_tag(hold.revision))
    return document_of(hold, await engine.queries.use_of_hold(hold.name), engine.clock.read())
