"""The line of allocations that wait for room."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ipamd.api.paging import PageQuery, page
from ipamd.api.routers.access import Page, TheEngine
from ipamd.api.schemas.waiter import ShownWaiter, document_of

router = APIRouter(prefix="/v1/waiters", tags=["allocations"])


@router.get("", response_model=Page[ShownWaiter])
async def list_waiters(query: Annotated[PageQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List the allocations that wait for room, on all replicas, in the order in which they came."""
    after = query.after_number() or 0
    found = [waiter for waiter in await engine.waiting.read() if waiter.number > after]
    return page(found[: query.limit + 1], query.limit, document_of, lambda waiter: waiter.number)
