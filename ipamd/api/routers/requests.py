"""Change requests: whoever may only read asks for an address or a reservation, and an admin decides."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.approval import approve
from ipamd.api.paging import PageQuery, page
from ipamd.api.routers.access import Page, RowId, TheEngine
from ipamd.api.schemas.change_request import (
    Approval,
    NewRequest,
    RequestFilter,
    RequestRefusal,
    ShownRequest,
    document_of,
)

router = APIRouter(prefix="/v1/requests", tags=["requests"])
log = structlog.get_logger()


class RequestsPageQuery(RequestFilter, PageQuery):
    """Which requests, and which page of them."""


@router.post("", status_code=HTTPStatus.CREATED)
async def create_request(body: NewRequest, engine: TheEngine, response: Response) -> ShownRequest:
    """Ask for an address or a reservation. Nothing is taken or kept before an admin approves it."""
    request = await engine.requests.create(body.kind(), body.wanted(), body.note)
    log.info("request", outcome="created", request=request.id, kind=request.kind.value)
    response.headers["Location"] = f"/v1/requests/{request.id}"
    return document_of(request)


@router.get("", response_model=Page[ShownRequest])
async def list_requests(query: Annotated[RequestsPageQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List requests, latest first. Those that were decided are kept as long as history."""
    found = await engine.queries.requests(query.value(), query.after_number(), query.limit + 1)
    return page(found, query.limit, document_of, lambda request: request.id)


@router.get("/{number}")
async def read_request(number: RowId, engine: TheEngine) -> ShownRequest:
    """Show one request."""
    return document_of(await engine.queries.request(number))


@router.post("/{number}/approve")
async def approve_request(number: RowId, body: Approval, engine: TheEngine) -> ShownRequest:
    """Approve a request, and make what it asks for. If that is refused, the request stays open.

    If the answer is lost, send it again: nothing is made twice.
    """
    approved = await approve(number, body.reason, engine)
    log.info("request", outcome="approved", request=number, **(approved.outcome or {}))
    return document_of(approved)


@router.post("/{number}/refuse")
async def refuse_request(number: RowId, body: RequestRefusal, engine: TheEngine) -> ShownRequest:
    """Refuse a request."""
    refused = await engine.requests.refuse(number, body.reason)
    log.info("request", outcome="refused", request=number, why=body.reason)
    return document_of(refused)
