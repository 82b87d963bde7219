"""One ASGI application: the lean route for the plugin's calls, FastAPI for everything else."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ipamd import __version__
from ipamd.api import documentation, welcome
from ipamd.api.access import Access, Gate
from ipamd.api.body import (
    LARGEST_BODY,
    LARGEST_COLLECTION,
    BodyTooLarge,
    ClientGone,
    again,
    read_body,
    why_not_json,
)
from ipamd.api.cni import PREFIX, Calls
from ipamd.api.metrics import CallMeasures
from ipamd.api.problems import MEDIA_TYPE, Problem, ProblemDocument
from ipamd.api.problems import install as install_problems
from ipamd.api.routers import (
    adoption,
    allocations,
    apply,
    check,
    explain,
    health,
    history,
    metrics,
    nodes,
    pools,
    reservations,
    tokens,
)
from ipamd.engine.engine import Engine

_PROBLEM: dict[str, Any] = {"model": ProblemDocument, "content": {MEDIA_TYPE: {}}}
DESCRIPTION = (
    "Pools, allocations, reservations, nodes and history. Errors are problem documents (RFC 9457) whose "
    "`code` never changes. Lists come in pages: send `next` back as `cursor`. The calls of the plugin, "
    "`POST /v1/cni/{add,del,check,gc,status}`, are not described here."
)
BEARER: Final = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    bearerFormat="ipamd_ and 43 letters",
    description="Every request needs a token as soon as ipamd has one: docs/security.md.",
)
_LARGER: Final = {apply.PATH: LARGEST_COLLECTION}
"""Requests with a larger limit."""


class Application:
    """What the listeners serve. The protocol itself passes on the plugin's calls."""

    def __init__(self, engine: Engine, access: Access, calls: Calls) -> None:
        self._calls = calls
        self._admin: ASGIApp = administration(engine, calls.measures)
        self._gate = Gate(self._administer, access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._admin(scope, receive, send)
        elif scope["path"].startswith(PREFIX):
            await self._not_a_call(scope)(scope, receive, send)
        else:
            await self._gate(scope, receive, send)

    async def _administer(self, scope: Scope, receive: Receive, send: Send) -> None:
        largest = _LARGER.get(scope["path"], LARGEST_BODY)
        try:
            body = await read_body(scope, receive, largest)
        except ClientGone:
            return
        except BodyTooLarge:
            refusal = Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"the body is larger than {largest} bytes"
            )
            await refusal(scope, receive, send)
            return
        why = why_not_json(body) if body else None
        if why is not None:
            refusal = Problem(HTTPStatus.BAD_REQUEST, "invalid-json", f"the body is not valid JSON: {why}")
            await refusal(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # HEAD has the headers of GET (RFC 9110, section 9.3.2); the server sends no body.
            scope = {**scope, "method": "GET"}
        await self._admin(scope, again(body, receive), send)

    def _not_a_call(self, scope: Scope) -> Problem:
        if self._calls.verb_of(scope["raw_path"]) is None:
            return Problem(
                HTTPStatus.NOT_FOUND,
                "not-found",
                "there is no such call: the calls are add, del, check, gc and status",
            )
        return Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "calls are sent by POST",
            headers={"Allow": "POST"},
        )


def administration(engine: Engine, calls: CallMeasures) -> FastAPI:
    """The admin API."""
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
    nouns = (
        pools,
        allocations,
        reservations,
        apply,
        adoption,
        nodes,
        history,
        check,
        explain,
        tokens,
        health,
        metrics,
    )
    for noun in nouns:
        # This only describes it: the token is looked up before the request comes this far.
        application.include_router(noun.router, dependencies=[] if noun is health else [Security(BEARER)])
    documentation.install(application)
    welcome.install(application)
    application.state.routes = [
        route
        for routes in (application.routes, *(noun.router.routes for noun in nouns))
        for route in routes
        if isinstance(route, Route)
    ]
    return application
