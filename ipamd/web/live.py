"""Server-sent events: the moving part of a view, sent again whenever it has changed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Scope

from ipamd.api.segments import with_names_whole
from ipamd.models.errors import DomainError
from ipamd.web.asking import access, engine, visitor
from ipamd.web.rendering import HEADERS, LIVE, VISITOR
from ipamd.web.rest import Refused
from ipamd.web.visitor import NotWelcome, visitor_of
from ipamd.web.windows import NoRoom, Windows
from ipamd.web.within import answered

LIVE_VIEWS: Final = ("/", "/ui/map", "/ui/allocations", "/ui/nodes", "/ui/owners", "/ui/waiters")
LIVE_FOLDERS: Final = ("/ui/pools/", "/ui/nodes/")

EVERY: Final = 2.0
"""Seconds between two looks at one view."""

SHARE: Final = 100
"""The next look at a view comes after so many times as long as one took: so it takes 1 % of the time."""

RAREST: Final = 10.0
"""Seconds between two looks, however long a view takes: a window shall not seem dead."""

AGAIN: Final = 10_000
"""Milliseconds until a window asks again for which there was no room."""

BEAT: Final = 16.0
"""After so many seconds without a change something is sent, so that a lost connection is noticed."""


async def stream(request: Request) -> Response:
    """What moves in the view at `of`, now and after each change."""
    of = urlsplit(request.query_params.get("of", "/"))
    if of.path not in LIVE_VIEWS and not of.path.startswith(LIVE_FOLDERS):
        raise Refused(404, {"detail": "This view is not live."})
    scope = with_names_whole(
        {
            **request.scope,
            "path": unquote(of.path),
            "raw_path": of.path.encode(),
            "query_string": of.query.encode(),
            LIVE: True,
        }
    )
    return StreamingResponse(
        _events(request, scope),
        headers={**HEADERS, "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def _events(request: Request, scope: Scope) -> AsyncIterator[bytes]:
    """What is sent of one window, if there is room for it; else why not, and when to ask again."""
    windows: Windows = request.app.state.windows
    try:
        with windows.one_of(visitor(request).token or (request.client.host if request.client else "")):
            yield b"retry: 2000\n\n"
            async for event in _changes(request, scope):
                yield event
    except NoRoom as why:
        yield f"retry: {AGAIN}\n\n".encode() + _event("full", f"Not live: {why}.")


async def _changes(request: Request, scope: Scope) -> AsyncIterator[bytes]:
    last, sent = "", 0.0
    while not engine(request).is_ending:
        began = time.monotonic()
        try:
            scope[VISITOR] = await visitor_of(request, engine(request), access(request))
            status, text = await _view(request, scope)
        except NotWelcome as why:
            yield _event("ended", str(why))
            return
        except DomainError as error:
            status, text = 503, str(error)
        if status != 200:
            yield _event("failed", f"The view cannot be read now (status {status}).")
        elif text != last:
            yield _event("rows", text)
            last, sent = text, began
        elif began - sent >= BEAT:
            yield b": still here\n\n"
            sent = began
        await asyncio.sleep(pause_after(time.monotonic() - began))


def pause_after(took: float) -> float:
    """How long to wait until the next look at a view that took so many seconds."""
    return min(max(EVERY, SHARE * took), RAREST)


async def _view(request: Request, scope: Scope) -> tuple[int, str]:
    """One view, as if it had been asked for."""
    fresh = {
        key: value for key, value in scope.items() if key not in ("app", "router", "endpoint", "path_params")
    }
    answer = await answered(request.app.state.views, {**fresh, "root_path": ""})
    return answer.status, answer.body.decode()


def _event(name: str, text: str) -> bytes:
    return f"event: {name}\ndata: {json.dumps(text)}\n\n".encode()
