"""History: who has an address, and who had it before."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ipamd.api.paging import PageQuery, bounded_page
from ipamd.api.routers.access import Page, TheEngine
from ipamd.api.schemas.allocation import HistoryFilter, ShownAllocation, document_of
from ipamd.api.schemas.text import moment
from ipamd.models.address import parse_address
from ipamd.models.query import HistoryQuery

router = APIRouter(prefix="/v1/history", tags=["history"])


class HistoryPageQuery(HistoryFilter, PageQuery):
    """Which allocations, and which page of them."""


@router.get("", response_model=Page[ShownAllocation])
async def read_history(query: Annotated[HistoryPageQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List live and ended allocations, latest first.

    `at` selects those that held an address at that moment, `after` and `before` those that held it at any
    moment between. `owner` selects those of an owner, and of the containers that held them for it. If few of
    many allocations match, a page has fewer than `limit`, and `next` goes on.
    """
    moments = {
        name: moment(value)
        for name, value in (("at", query.at), ("after", query.after), ("before", query.before))
        if value is not None
    }
    wanted = HistoryQuery(
        address=parse_address(query.address) if query.address is not None else None,
        space=query.space,
        namespace=query.namespace,
        name=query.name,
        cluster=query.cluster,
        node=query.node,
        owner=query.owner,
        **moments,
    )
    found = await engine.queries.history(wanted, query.after_number(), query.limit)
    return bounded_page(found.rows, found.next, document_of)
