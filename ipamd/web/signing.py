"""Sign in with a token, and out."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ipamd.web.asking import access, engine, form
from ipamd.web.rendering import HEADERS, render
from ipamd.web.visitor import NotWelcome, known
from ipamd.web.visitor import sign_in as keep
from ipamd.web.visitor import sign_out as forget


async def sign_in(request: Request) -> Response:
    """The form, and what is sent with it. A wrong token changes nothing of an earlier sign-in."""
    if request.method != "POST":
        return render(request, "sign_in.html", next=own_path(request.query_params.get("next")), error=None)
    given = await form(request)
    following, token = own_path(given.get("next")), given.get("token", "").strip()
    if engine(request).is_stale:
        await engine(request).recent()
    try:
        known(token, access(request))
    except NotWelcome as why:
        return render(request, "sign_in.html", HTTPStatus.FORBIDDEN, next=following, error=str(why))
    answer = RedirectResponse(following, HTTPStatus.SEE_OTHER, HEADERS)
    keep(answer, token, request)
    return answer


async def sign_out(request: Request) -> Response:
    """Forget the token."""
    answer = RedirectResponse("/ui/sign-in", HTTPStatus.SEE_OTHER, HEADERS)
    forget(answer)
    return answer


def own_path(where: str | None) -> str:
    """Where to go on: a path of this page, never another site."""
    parts = urlsplit(where or "/")
    ours = not parts.scheme and not parts.netloc and (parts.path == "/" or parts.path.startswith("/ui/"))
    if not ours or "\\" in (where or "") or "//" in parts.path:
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")
