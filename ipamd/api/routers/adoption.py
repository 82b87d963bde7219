"""Import: give running containers the addresses that they already use."""

from __future__ import annotations

from collections import Counter

import structlog
from fastapi import APIRouter

from ipamd.api.routers.access import Asker, TheEngine
from ipamd.api.schemas.adoption import Import, ShownImport, document_of

router = APIRouter(prefix="/v1/import", tags=["import"])
log = structlog.get_logger()


@router.post("")
async def adopt(body: Import, engine: TheEngine, asker: Asker) -> ShownImport:
    """Give the containers of a node the addresses that they already use.

    The same request again changes nothing.

    Selectors, `auto_assign` and draining do not count: they are for new addresses. Exclusions, gateways and
    reservations for others do count. Each attachment has an outcome of its own: `taken`, `held` (it had the
    addresses before), `conflict` with another `holder`, `refused`, or `outside` of every pool. Addresses of
    what is `gone` are `released` if an import took them, unless a call was told of them since.
    """
    by = asker.name if asker is not None else None
    adopted = await engine.adoption.adopt(body.values(), body.space, by, dry_run=body.dry_run)
    adopted += await engine.adoption.disown(body.gone_identities(), by, dry_run=body.dry_run)
    if not body.dry_run:
        counts = Counter(each.standing.value for each in adopted)
        log.info("import", outcome="taken over", cluster=body.cluster, node=body.node, **counts)
    return {"dry_run": body.dry_run, "items": [document_of(each) for each in adopted]}
