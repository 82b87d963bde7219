"""One ASGI application: FastAPI for everything that has no lean route."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ipamd.api.access import INVENTORY, Access, Gate
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
from ipamd.api.page_paths import is_of_the_page
from ipamd.api.problems import Problem, not_json, too_large
from ipamd.api.segments import with_names_whole
from ipamd.engine.engine import Engine

_LARGER: Final = dict.fromkeys(
    (
        "/v1/apply",
        "/v1/csv/pools",
        "/v1/csv/reservations",
        "/v1/csv/allocations",
        "/v1/leases",
        "/v1/leases/report",
        "/v1/census",
        INVENTORY,
    ),
    LARGEST_COLLECTION,
)
"""Requests with a larger limit."""


MakePage = Callable[[Engine, Access, ASGIApp], ASGIApp]
"""Makes the page for browsers, which asks the last argument, the admin API, as any other client does."""


class Application:
    """What the listeners serve. The protocol itself passes on the plugin's calls."""

    def __init__(
        self, engine: Engine, access: Access, calls: Calls, make_page: MakePage | None = None
    ) -> None:
        self._calls = calls
        self._engine = engine
        self._access = access
        self._make_page = make_page
        self._loading: asyncio.Task[ASGIApp] | None = None
        self._page: ASGIApp | None = None
        self._gate = Gate(self._administer, access)

    async def load(self) -> ASGIApp:
        """The admin API, imported when it is first asked for. The plugin's calls are answered meanwhile."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._import))
        return await asyncio.shield(self._loading)

    def _import(self) -> ASGIApp:
        from ipamd.api.admin_api import admin_api
        from ipamd.api.following import Following

        made = Following(admin_api(self._engine, self._calls.measures), self._engine)
        if self._make_page is not None:
            self._page = self._make_page(self._engine, self._access, self._gate)
        gc.freeze()  # all of it lives as long as the process
        return made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (await self.load())(scope, receive, send)
        elif scope["path"].startswith(PREFIX):
            await self._not_a_call(scope)(scope, receive, send)
        elif self._make_page is not None and is_of_the_page(scope["path"]):
            await self._show(with_names_whole(scope), receive, send)
        else:
            await self._gate(scope, receive, send)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.load()
        assert self._page is not None  # made together with the admin API
        await self._page(scope, receive, send)

    async def _administer(self, scope: Scope, receive: Receive, send: Send) -> None:
        largest = _LARGER.get(scope["path"], LARGEST_BODY)
        try:
            body = await read_body(scope, receive, largest)
        except ClientGone:
            return
        except BodyTooLarge:
            await too_large(largest)(scope, receive, send)
            return
        why = why_not_json(body) if body else None
        if why is not None:
            await not_json(why)(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # HEAD has the headers of GET (RFC 9110, section 9.3.2); the server sends no body.
            scope = {**scope, "method": "GET"}
        await (await self.load())(scope, again(body, receive), send)

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
