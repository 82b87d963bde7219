"""The page's routes, and what stands before them: who looks, and whether a form is our own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ipamd.api.access import Access
from ipamd.api.problems import Problem
from ipamd.engine.engine import Engine
from ipamd.models.errors import DomainError
from ipamd.web import changes, curves, files, lists, live, pools, requests, signing, spaces, transfer
from ipamd.web.origin import SAFE, comes_from_elsewhere, is_our_own
from ipamd.web.rendering import HEADERS, VISITOR, address_of, render
from ipamd.web.rest import Refused
from ipamd.web.sums import SharedSums
from ipamd.web.visitor import NotWelcome, visitor_of
from ipamd.web.windows import Windows

SIGN_IN: Final = "/ui/sign-in"
OPEN: Final = (SIGN_IN, "/ui/sign-out")
LARGEST_FORM: Final = 8 * 1024 * 1024
MOST_READ_AWAY: Final = 256 * 1024 * 1024
"""So much of a form that is refused is read for its answer to be seen."""
BOUNCE: Final = "bounce.html"
"""A page that leads to itself: the second request is our own, so the browser sends our cookie along."""


class Page:
    """See `make_page`."""

    def __init__(self, engine: Engine, access: Access, rest: ASGIApp) -> None:
        self._engine = engine
        self._access = access
        self._views = Starlette(
            routes=[
                Route(SIGN_IN, signing.sign_in, methods=["GET", "POST"]),
                Route("/ui/sign-out", signing.sign_out, methods=["POST"]),
                *pools.ROUTES,
                *curves.ROUTES,
                *spaces.ROUTES,
                *lists.ROUTES,
                *changes.ROUTES,
                *requests.ROUTES,
                *transfer.ROUTES,
                Route("/ui/live", live.stream),
            ],
            exception_handlers={
                Refused: _refused,
                DomainError: _domain_error,
                HTTPException: _http_error,
                Exception: _mistake,
            },
        )
        state = self._views.state
        self._sums = SharedSums()
        state.windows, state.sums = Windows(), self._sums
        state.engine, state.access, state.rest, state.views = engine, access, rest, self._views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(files.PREFIX):
            await files.serve(scope)(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = self._refusal(request) or await self._enter(request)
            if answer is not None and request.method not in SAFE:
                await _read_away(receive)
        except DomainError as error:
            answer = await _domain_error(request, error)
        if answer is not None:
            await answer(scope, receive, send)
        elif request.method in SAFE:
            await self._views(scope, receive, send)
        else:
            await self._change(scope, receive, send)

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever has changed something sees it, also in what is counted once for all."""

        async def answer(message: Message) -> None:
            self._sums.forget()
            await send(message)

        await self._views(scope, receive, answer)

    def _refusal(self, request: Request) -> Response | None:
        """Refuse what no page of ours has sent."""
        if request.method in SAFE:
            return None
        if not is_our_own(request.headers):
            why = "This form was not sent by a page of ipamd: open the page of ipamd and send it from there."
            return message(request, HTTPStatus.FORBIDDEN, "Not sent from here", why)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length[:20]) > LARGEST_FORM:
            why = f"A form may have {LARGEST_FORM >> 20} MiB at most: send it in parts, or use ipamctl."
            return message(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", why)
        return None

    async def _enter(self, request: Request) -> Response | None:
        """Find out who looks. The answer is a way to sign in, None if somebody is."""
        path = request.url.path
        if path in OPEN:
            return None
        try:
            request.scope[VISITOR] = await visitor_of(request, self._engine, self._access)
        except NotWelcome as why:
            if comes_from_elsewhere(request.headers):
                return render(request, BOUNCE)
            if request.method in SAFE and path == "/":
                return render(request, "sign_in.html", next=address_of(request), error=None)
            if request.method in SAFE and path != "/ui/live":
                return RedirectResponse(
                    f"{SIGN_IN}?next={quote(address_of(request), safe='')}", HTTPStatus.SEE_OTHER, HEADERS
                )
            return message(request, HTTPStatus.UNAUTHORIZED, "You are not signed in", str(why))
        return None


async def _read_away(receive: Receive) -> None:
    """Take the body of a form that is refused: a browser that is still sending shows no answer."""
    taken = 0
    while taken < MOST_READ_AWAY:
        sent = await receive()
        taken += len(sent.get("body", b""))
        if not sent.get("more_body", False):
            return


def message(request: Request, status: int, title: str, detail: str) -> Response:
    """A page with one sentence, and the way back to the view from which somebody came."""
    came_from = urlsplit(request.headers.get("referer", ""))
    is_ours = came_from.netloc == request.headers.get("host") and came_from.path != request.url.path
    back = signing.own_path(urlunsplit(("", "", *came_from[2:4], ""))) if is_ours else "/"
    return render(request, "message.html", status, title=title, detail=detail, back=back)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return message(request, error.status, error.title, error.detail)


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    problem = Problem.from_domain(error)
    return await _refused(request, Refused(int(problem.status), {"code": problem.code, "detail": str(error)}))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    why = "There is nothing here. What this link leads to may be gone: search for it."
    if error.status_code != HTTPStatus.NOT_FOUND:
        why = f"The page takes no such request ({error.detail})."
    return message(request, error.status_code, HTTPStatus(error.status_code).phrase, why)


async def _mistake(request: Request, error: Exception) -> Response:
    why = "ipamd failed on this request. Its log has the details."
    return message(request, HTTPStatus.INTERNAL_SERVER_ERROR, "ipamd failed", why)
