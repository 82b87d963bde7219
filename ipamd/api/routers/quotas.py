"""Quotas: how many addresses namespaces may have."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.paging import PageQuery, page_of_names
from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.routers.access import CurrentCatalogue, Page, TheEngine
from ipamd.api.schemas.quota import (
    NewQuota,
    QuotaPatch,
    ShownQuota,
    ShownQuotaUse,
    document_of,
    use_document,
)
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.errors import NotFound
from ipamd.models.quota import Quota

MOST_USES: Final = 100

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])
log = structlog.get_logger()


@router.post("", status_code=HTTPStatus.CREATED)
async def create_quota(body: NewQuota, engine: TheEngine, response: Response) -> ShownQuotaUse:
    """Create a quota. What is used already is counted; nothing is freed if that is more than the limit."""
    quota = await engine.quotas.create(body.value())
    log.info("quota", outcome="created", quota=quota.name, limit=quota.limit, counting=quota.counting)
    response.headers["Location"] = f"/v1/quotas/{quota.name}"
    return await _shown(quota, engine, response)


@router.get("", response_model=Page[ShownQuota])
async def list_quotas(
    query: Annotated[PageQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List all quotas, by name."""
    quotas = list(catalogue.snapshot.quotas.values())
    used = await engine.queries.most_used()
    return page_of_names(
        quotas, query, lambda quota: document_of(quota, used.get(quota.name, 0)), lambda quota: (quota.name,)
    )


@router.get("/{name}")
async def read_quota(
    name: str, engine: TheEngine, catalogue: CurrentCatalogue, response: Response
) -> ShownQuotaUse:
    """Show one quota, with the hundred namespaces that use most of it."""
    return await _shown(_quota(catalogue, name), engine, response)


@router.patch("/{name}")
async def change_quota(
    name: str,
    body: QuotaPatch,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    if_match: IfMatch = None,
) -> ShownQuotaUse:
    """Change a quota by a merge patch. A limit below what is used is taken: nothing is freed."""
    expected = expected_revision(if_match, _quota(catalogue, name).revision)
    quota = await engine.quotas.edit(name, body.apply, expected)
    log.info("quota", outcome="changed", quota=name, limit=quota.limit, counting=quota.counting)
    return await _shown(quota, engine, response)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
async def delete_quota(
    name: str, engine: TheEngine, catalogue: CurrentCatalogue, if_match: IfMatch = None
) -> None:
    """Delete a quota."""
    expected = expected_revision(if_match, _quota(catalogue, name).revision)
    await engine.quotas.delete(name, expected)
    log.info("quota", outcome="deleted", quota=name)


def _quota(catalogue: Catalogue, name: str) -> Quota:
    quota = catalogue.snapshot.quotas.get(name)
    if quota is None:
        raise NotFound("quota", name)
    return quota


async def _shown(quota: Quota, engine: Engine, response: Response) -> ShownQuotaUse:
    response.headers.update(entity_tag(quota.revision))
    return use_document(quota, await engine.queries.uses_of(quota.name, MOST_USES))
