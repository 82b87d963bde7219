"""The long poll for the changes of pod networks, answered without the framework.

Thousands of nodes hang on it, and a change wakes them all. FastAPI takes five times as long for an answer as
all the rest.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from ipamd.api.access import PRINCIPAL
from ipamd.api.problems import Problem
from ipamd.api.routers.network import changes_body
from ipamd.api.schemas.pod_network import ChangesQuery
from ipamd.engine.engine import Engine
from ipamd.models.errors import DomainError

PATH: Final = "/v1/network/changes"


class Following:
    """Answers polls. Other requests go on to the admin API, which also words what is wrong with a poll."""

    def __init__(self, application: ASGIApp, engine: Engine) -> None:
        self._application = application
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = _query(scope)
        if query is None:
            await self._application(scope, receive, send)
            return
        try:
            body = await changes_body(query, self._engine, scope.get(PRINCIPAL))
        except DomainError as error:
            await Problem.from_domain(error)(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _query(scope: Scope) -> ChangesQuery | None:
    """What a poll asks; None if the request is no poll, or a wrong one."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
        return None
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    fields = dict(given)
    if len(fields) != len(given):
        return None
    try:
        return ChangesQuery.model_validate(fields)
    except ValidationError:
        return None
