"""Whether the process is alive, and whether it can serve."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from ipamd.api.problems import Problem
from ipamd.api.routers.access import TheEngine
from ipamd.models.errors import Unavailable

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def live() -> dict[str, str]:
    """Answers while the process is alive."""
    return {"status": "alive"}


@router.get("/readyz")
async def ready(engine: TheEngine) -> dict[str, str]:
    """Answers 200 if the database answers and its schema fits, else 503 with the reason."""
    why = await engine.queries.ready()
    if why is not None:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, Unavailable.code, why, headers={"Retry-After": "1"})
    return {"status": "ready"}
