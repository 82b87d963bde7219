"""Allocations: who has an address now, addresses for owners that are not containers, release by hand."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header, Query, Request, Response

from ipamd.api.owner_allocation import AllocationKey, allocate_for_owner
from ipamd.api.paging import PageQuery, bounded_page
from ipamd.api.routers.access import Asker, CurrentCatalogue, Page, RowId, TheEngine
from ipamd.api.schemas.allocation import (
    AllocationFilter,
    NewAllocation,
    ReleasedWorkload,
    ShownAllocation,
    ShownReleased,
    document_of,
)
from ipamd.api.waiting import Prefer, Wait
from ipamd.engine.allocation.workloads import WorkloadRelease
from ipamd.models.address import parse_address
from ipamd.models.allocation import Ending
from ipamd.models.errors import InvalidValue
from ipamd.models.outcome import Refused
from ipamd.models.query import AllocationQuery
from ipamd.models.request import Release

router = APIRouter(prefix="/v1/allocations", tags=["allocations"])
log = structlog.get_logger()

_KEY: Final = re.compile(r"[!-~]{1,255}")

IdempotencyKey = Annotated[
    str | None,
    Header(description="1 to 255 printable characters. The same key again answers as the first time did."),
]


class AllocationsQuery(AllocationFilter, PageQuery):
    """Which allocations, and which page of them."""


@router.get("", response_model=Page[ShownAllocation])
async def list_allocations(query: Annotated[AllocationsQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List who has an address now, by address, in a namespace by name.

    `address` is of `space` (`default`). If few of many allocations match, a page has fewer than `limit`, and
    `next` goes on.
    """
    given = query.model_dump(exclude={"limit", "cursor", "address"})
    address = parse_address(query.address) if query.address is not None else None
    wanted = AllocationQuery(**given, address=address)
    found = await engine.queries.bounded_page(wanted, query.after_number(), query.limit)
    return bounded_page(found.rows, found.next, document_of)


@router.post("", status_code=HTTPStatus.CREATED)
async def allocate(
    body: NewAllocation,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    asker: Asker,
    response: Response,
    request: Request,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> ShownAllocation:
    """Give an address to a VM, a device or a load balancer.

    With `Prefer: wait=60` it waits for room, first come first served; a refusal then says how many waited
    before it. If the connection is closed, it gives up.
    """
    wait = Wait.of(prefer, request)
    key = AllocationKey.of_asker(_checked(idempotency_key), body.fingerprint(), asker)
    allocation = await key.first_answer(engine)
    if allocation is None:
        by = asker.name if asker is not None else None
        with wait.told():
            allocation = await allocate_for_owner(body, key, engine, catalogue, by, wait)
    response.headers.update(wait.headers)
    response.headers["Location"] = f"/v1/allocations/{allocation.id}"
    return document_of(allocation)


@router.post("/release")
async def release_workload(body: ReleasedWorkload, engine: TheEngine, asker: Asker) -> ShownReleased:
    """Release all that a workload's containers hold, over networks and interfaces, in one transaction.

    If several workloads of this name hold addresses, `uid` is needed (409, `several-workloads`).
    """
    wanted = WorkloadRelease(
        cluster=body.cluster,
        namespace=body.namespace,
        name=body.name,
        uid=body.uid,
        reason=body.why,
        by=asker.name if asker is not None else None,
    )
    released = await engine.workloads.release(wanted)
    addresses = list(map(str, released.addresses))
    log.info(
        "release",
        outcome="released by hand",
        namespace=body.namespace,
        name=body.name,
        addresses=addresses,
        why=body.why,
    )
    return {"released": addresses}


@router.get("/{number}")
async def read_allocation(number: RowId, engine: TheEngine) -> ShownAllocation:
    """Show one allocation, live or ended."""
    return document_of(await engine.queries.allocation(number))


@router.delete("/{number}", status_code=HTTPStatus.NO_CONTENT)
async def release(number: RowId, engine: TheEngine, asker: Asker) -> None:
    """Release an address, whoever holds it. An allocation that has ended stays as it is."""
    row = await engine.queries.allocation(number)
    if row.until is not None:
        return
    outcome = await engine.submit(
        Release(
            digest=row.digest,
            ending=Ending.ADMIN,
            allocation=number,
            by=asker.name if asker is not None else None,
        )
    )
    if isinstance(outcome, Refused):
        raise outcome.error
    log.info("release", outcome="released by hand", allocation=number, address=str(row.address))


def _checked(key: str | None) -> str | None:
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidValue("Idempotency-Key", "write 1 to 255 printable ASCII characters without spaces")
    return key
