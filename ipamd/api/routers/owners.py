"""Owners whom workloads name: what they have, who holds it, and its end by hand."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Query, Request, Response

from ipamd.api.owner_allocation import allocate_for_named_owner
from ipamd.api.paging import PageQuery, page
from ipamd.api.routers.access import Asker, CurrentCatalogue, Page, TheEngine
from ipamd.api.schemas.owner import (
    NewOwner,
    OwnerFilter,
    ShownOwned,
    ShownReleasedOwner,
    document_of,
)
from ipamd.api.schemas.text import Document, Note, Word
from ipamd.api.waiting import Prefer, Wait
from ipamd.engine.allocation.owners import OwnerKey
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.query import OwnerQuery

router = APIRouter(prefix="/v1/owners", tags=["owners"])
log = structlog.get_logger()


class OwnersQuery(OwnerFilter, PageQuery):
    """Which owners, and which page of them."""


class OwnerReleased(Document):
    """How an owner is released."""

    cluster: Word = DEFAULT_CLUSTER
    holders: bool = False
    why: Note | None = None


@router.get("", response_model=Page[ShownOwned])
async def list_owners(
    query: Annotated[OwnersQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List what owners have and who holds it: an entry for each address, by namespace and name."""
    wanted = OwnerQuery(cluster=query.cluster, namespace=query.namespace, name=query.name)
    found = await engine.owners.page(wanted, query.after_number(), query.limit + 1)
    clock = engine.clock.read()
    return page(
        found, query.limit, lambda one: document_of(one, catalogue, clock), lambda one: one.row.stored_id
    )


@router.post("", status_code=HTTPStatus.CREATED, response_model=Page[ShownOwned])
async def make_owner(
    body: NewOwner,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    asker: Asker,
    response: Response,
    request: Request,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Give an owner an address before its first workload starts. Shows all that the owner has.

    If it has one of that pool already, nothing changes. It keeps the address until a workload has held it
    and gone, or an admin releases it. With `Prefer: wait=60` it waits for room, as an allocation does.
    """
    wait = Wait.of(prefer, request)
    by = asker.name if asker is not None else None
    with wait.told():
        await allocate_for_named_owner(body.key, body.allocation(), engine, catalogue, by, wait)
    response.headers.update(wait.headers)
    cluster, *path = (quote(part, safe="") for part in body.key)
    response.headers["Location"] = f"/v1/owners/{'/'.join(path)}?cluster={cluster}"
    return await _shown(body.key, engine, catalogue)


@router.get("/{namespace:name}/{name:name}", response_model=Page[ShownOwned])
async def read_owner(
    namespace: str,
    name: str,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    cluster: Annotated[Word, Query()] = DEFAULT_CLUSTER,
) -> dict[str, Any]:
    """Show all that one owner has."""
    return await _shown(OwnerKey(cluster, namespace, name), engine, catalogue)


@router.post("/{namespace:name}/{name:name}/release")
async def release_owner(
    namespace: str, name: str, body: OwnerReleased, engine: TheEngine, asker: Asker
) -> ShownReleasedOwner:
    """Release all that an owner has. While somebody holds it, say `holders`: they lose it too."""
    released = await engine.owners.release(
        OwnerKey(body.cluster, namespace, name),
        with_holders=body.holders,
        by=asker.name if asker is not None else None,
        reason=body.why,
    )
    addresses = list(map(str, released))
    log.info(
        "release", outcome="owner released by hand", namespace=namespace, owner=name, addresses=addresses
    )
    return {"released": addresses}


async def _shown(key: OwnerKey, engine: TheEngine, catalogue: CurrentCatalogue) -> dict[str, Any]:
    clock = engine.clock.read()
    found = await engine.owners.addresses(key)
    return {"items": [document_of(one, catalogue, clock) for one in found], "next": None}
