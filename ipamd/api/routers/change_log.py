"""The change log: who changed what of pools, reservations, nodes, tokens and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ipamd.api.paging import PageQuery, page
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

    Changes are kept as long as history. The answer has no secrets, and tokens are shown to admins only.
    """
    wanted = query.value()
    if asker is not None and asker.role is not Role.ADMIN:
        wanted = replace(wanted, but_not=LogKind.TOKEN)
    entries = await engine.queries.log(wanted, query.after_number(), query.limit + 1)
    return page(entries, query.limit, document_of, lambda entry: entry.stored_id)
