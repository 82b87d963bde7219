"""Apply: create and change pools, reservations and quotas in one change."""

from __future__ import annotations

import structlog
from fastapi import APIRouter

from ipamd.api.routers.access import TheEngine
from ipamd.api.schemas.desired import Desired, ShownApplied, document_of
from ipamd.api.schemas.reservation import outside_pools
from ipamd.engine.administration.applying import Applied, Change
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota

router = APIRouter(prefix="/v1/apply", tags=["apply"])
log = structlog.get_logger()


@router.post("")
async def apply(body: Desired, engine: TheEngine) -> ShownApplied:
    """Create and change pools, reservations and quotas as the body says, in one change: all, or nothing.

    If anything is refused, `refusals` lists all of it (409, `not-applied`). The same body again changes
    nothing.
    """
    applied = await engine.apply(body.value(), prune=body.prune, dry_run=body.dry_run)
    if not body.dry_run:
        note(applied)
    return document_of(applied, dry_run=body.dry_run)


def note(applied: Applied) -> None:
    """Log what was done, a line for each entry."""
    for change in applied.changes:
        log.info("apply", outcome=change.action.value, **_named(change))
    for reservation in applied.outside:
        log.warning("reservation", reservation=reservation.id, why=outside_pools(reservation))


def _named(change: Change) -> dict[str, str]:
    entry = change.after or change.before
    if isinstance(entry, Pool):
        return {"pool": entry.name}
    if isinstance(entry, Quota):
        return {"quota": entry.name}
    return {"reservation": str(entry.addresses) if entry is not None else ""}
