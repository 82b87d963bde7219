"""Metrics for Prometheus."""

from __future__ import annotations

import asyncio
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from ipamd.api.call_measures import CallMeasures
from ipamd.api.metrics import MEDIA_TYPE, Scrape, exposition
from ipamd.api.routers.access import TheEngine
from ipamd.engine.census.censuses import Counts as DeadCounts
from ipamd.engine.inspection.nodes import SilentNodes
from ipamd.engine.leasing.lease_uses import Counts as LeaseCounts

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def metrics(request: Request, engine: TheEngine) -> Response:
    """Metrics of this process, its pools, quotas and holds, in the text format of Prometheus.

    While the database does not answer, the metrics of pools, quotas and holds are missing.
    """
    calls = cast(CallMeasures, request.app.state.calls)
    ready = await engine.queries.ready() is None
    usage = await engine.queries.usage_of_all() if ready else {}
    leases = await engine.lease_uses.count() if ready else LeaseCounts()
    dead = await engine.censuses.count() if ready else DeadCounts()
    silent = await engine.nodes.silent() if ready else SilentNodes()
    quotas = await engine.queries.quota_uses() if ready else {}
    holds = await engine.queries.uses_of_holds() if ready else {}
    away = await engine.queries.away() if ready else {}
    scrape = Scrape(
        calls=calls,
        engine=engine.measures,
        clock=engine.clock,
        waiting=engine.allocator.waiting,
        waiters=engine.waiting.own,
        usage=usage,
        leases=leases,
        dead=dead,
        silent=silent,
        gone=engine.inventories.count(),
        quotas=quotas,
        holds=holds,
        away=away,
        ready=ready,
    )
    # In a thread, for ten thousand pools take longer to write down than a call may wait.
    page = await asyncio.to_thread(exposition, scrape)
    return Response(page, media_type=MEDIA_TYPE)
