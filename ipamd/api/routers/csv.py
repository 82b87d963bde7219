"""Tables for spreadsheets: pools, reservations and allocations as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from ipamd.api.giving import give
from ipamd.api.routers.access import Asker, CurrentCatalogue, TheEngine
from ipamd.api.routers.apply import note
from ipamd.api.schemas.allocation import document_of
from ipamd.api.schemas.desired import ShownApplied
from ipamd.api.schemas.desired import document_of as applied_document
from ipamd.api.schemas.table import AllocationTable, AppliedKind, ShownGiven, Table
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.csv_table import CsvKind, written
from ipamd.models.documents import pool_document, reservation_document
from ipamd.models.pool import DEFAULT_SPACE
from ipamd.models.query import AllocationQuery

router = APIRouter(prefix="/v1/csv", tags=["csv"])

MEDIA_TYPE: Final = "text/csv"
AT_ONCE: Final = 1000
"""Rows in memory: a table may have millions."""


@router.get("/{kind}", response_class=StreamingResponse, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def read_table(kind: CsvKind, engine: TheEngine, catalogue: CurrentCatalogue) -> StreamingResponse:
    """Show all pools, reservations or allocations as CSV.

    Cells that a spreadsheet would take for formulas begin with an apostrophe.
    """
    headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
    return StreamingResponse(
        _lines(kind, engine, catalogue), media_type=f"{MEDIA_TYPE}; charset=utf-8", headers=headers
    )


@router.post("/allocations")
async def give_table(
    body: AllocationTable, engine: TheEngine, catalogue: CurrentCatalogue, asker: Asker
) -> ShownGiven:
    """Give owners the addresses that a table names. The same table again changes nothing.

    Each row is tried first. If anything is refused, `refusals` lists all of it (409, `not-applied`), and
    nothing is given. If a line is wrong, `errors` names it (422). A table has 1,000 rows at most.
    """
    wanted, containers = body.value()
    by = asker.name if asker is not None else None
    given, unchanged = await give(wanted, engine, catalogue, by, dry_run=body.dry_run)
    return {
        "dry_run": body.dry_run,
        "given": [
            {"address": str(each.address), "space": each.space or DEFAULT_SPACE, "owner": each.owner}
            for each in given
        ],
        "unchanged": unchanged,
        "containers": containers,
    }


@router.post("/{kind}")
async def apply_table(kind: AppliedKind, body: Table, engine: TheEngine) -> ShownApplied:
    """Create and change pools or reservations as a table says, in one change: all of it, or nothing.

    If anything is refused, `refusals` lists all of it (409, `not-applied`). If a line is wrong, `errors`
    names it (422). A table has 20,000 rows at most.
    """
    wanted = body.value(kind)
    applied = await engine.apply(wanted, prune=body.prune, dry_run=body.dry_run)
    if not body.dry_run:
        note(applied)
    return applied_document(applied, dry_run=body.dry_run)


async def _lines(kind: CsvKind, engine: Engine, catalogue: Catalogue) -> AsyncIterator[str]:
    head, *_ = written(kind, [])
    yield head
    async for rows in _portions(kind, engine, catalogue):
        yield "".join(list(written(kind, rows))[1:])


async def _portions(
    kind: CsvKind, engine: Engine, catalogue: Catalogue
) -> AsyncIterator[list[dict[str, Any]]]:
    match kind:
        case CsvKind.POOLS:
            pools = sorted(catalogue.pools.values(), key=lambda pool: pool.name)
            for begin in range(0, len(pools), AT_ONCE):
                yield [pool_document(pool) for pool in pools[begin : begin + AT_ONCE]]
        case CsvKind.RESERVATIONS:
            kept = sorted(catalogue.snapshot.reservations.values(), key=lambda each: each.id)
            for begin in range(0, len(kept), AT_ONCE):
                yield [reservation_document(each) for each in kept[begin : begin + AT_ONCE]]
        case CsvKind.ALLOCATIONS:
            after: int | None = None
            while rows := await engine.queries.allocations(AllocationQuery(), after, AT_ONCE):
                yield [dict(document_of(row)) for row in rows]
                after = rows[-1].stored_id
