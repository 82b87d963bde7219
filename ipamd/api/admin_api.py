"""The admin API: FastAPI with a router for each noun.

Its import takes longer than all the rest of a start; `Application` imports it after the listeners are open.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.routing import Route

from ipamd import __version__
from ipamd.api import documentation
from ipamd.api.call_measures import CallMeasures
from ipamd.api.problem_handlers import ProblemDocument
from ipamd.api.problem_handlers import install as install_problems
from ipamd.api.problems import MEDIA_TYPE
from ipamd.api.routers import (
    adoption,
    allocations,
    apply,
    census,
    change_log,
    check,
    csv,
    explain,
    health,
    history,
    holds,
    inventory,
    leases,
    metrics,
    network,
    nodes,
    owners,
    pools,
    quotas,
    requests,
    reservations,
    restore,
    tokens,
    waiters,
)
from ipamd.engine.engine import Engine

_PROBLEM: dict[str, Any] = {"model": ProblemDocument, "content": {MEDIA_TYPE: {}}}
DESCRIPTION = (
    "Pools, reservations, quotas, holds, owners, allocations, nodes, history. Errors are problem documents "
    "(RFC 9457) whose `code` never changes. Lists come in pages: send `next` back as `cursor`. The calls of "
    "the plugin, `POST /v1/cni/{add,del,check,gc,status}`, are not described here."
)
BEARER: Final = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    bearerFormat="ipamd_ and 43 letters",
    description="Every request needs a token as soon as ipamd has one: docs/security.md.",
)

NOUNS: Final = (
    pools,
    allocations,
    reservations,
    quotas,
    holds,
    owners,
    waiters,
    requests,
    apply,
    csv,
    adoption,
    nodes,
    network,
    leases,
    census,
    inventory,
    history,
    change_log,
    check,
    restore,
    explain,
    tokens,
    health,
    metrics,
)


def admin_api(engine: Engine, calls: CallMeasures) -> FastAPI:
    """The admin API of an engine."""
    application = FastAPI(
        title="ipamd",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
    )
    application.state.engine = engine
    application.state.calls = calls
    install_problems(application)
    for noun in NOUNS:
        # This only describes it: the token is looked up before the request comes this far.
        application.include_router(noun.router, dependencies=[] if noun is health else [Security(BEARER)])
    documentation.install(application)
    application.state.routes = [
        route
        for routes in (application.routes, *(noun.router.routes for noun in NOUNS))
        for route in routes
        if isinstance(route, Route)
    ]
    return application
