"""The change log: who changed what of pools, reservations, nodes, tokens and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ipamd.api.paging import PageQuery, bounded_page
from ipamd.api.routers.access import Asker, Page, TheEngine
from ipamd.api.schemas.change_log import LogFilter, ShownChange, document_of
from ipamd.models.change_log import LogKind
from ipamd.models.token import Role

router = APIRouter(prefix="/v1/log", tags=["log"])


class LogPageQuery(LogFilter, PageQuery):
    """Which changes, and which page of them."""


@router.get("", response_model=Page[ShownChange])
async def read_log(
    query: Annotated[LogPageQuery, Query()], engine: TheEngine, asker: Asker
) -> dict[str, Any]:
    """List what was changed, latest first: who did it, when, and what it was before and after.

    If few of many changes match, a page has fewer than `limit`, and `next` goes on. Changes are kept as
    long as history. The answer has no secrets, and tokens are shown to admins only.
    """
    wanted = query.value()
    if asker is not None and asker.role is not Role.ADMIN:
        wanted = replace(wanted, but_not=LogKind.TOKEN)
    found = await engine.queries.log(wanted, query.after_number(), query.limit)
    return bounded_page(found.entries, found.next, document_of)
