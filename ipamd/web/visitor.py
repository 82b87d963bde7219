"""Who looks at the page: a token in a cookie, which is worth as much as the token and ends with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ipamd.api.access import Access, Unknown
from ipamd.engine.engine import Engine
from ipamd.models.token import Principal, Role, looks_like_token
from ipamd.web.origin import is_encrypted

COOKIE: Final = "ipamd"
SECURE_COOKIE: Final = "__Host-ipamd"
"""The name over TLS: a browser takes such a cookie from this very host alone, and sends it to no other."""

WELCOME: Final = (Role.ADMIN, Role.READER)


class NotWelcome(Exception):
    """Nobody is signed in, or somebody for whom the page is not. `str()` says what to do."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in; without principal if ipamd has no tokens, and so nobody needs to be."""

    token: str | None = None
    principal: Principal | None = None

    @property
    def name(self) -> str:
        return self.principal.name if self.principal is not None else "no tokens: everybody"

    @property
    def may_change(self) -> bool:
        """Whether REST would let them change anything. It decides again when they do."""
        return self.principal is None or self.principal.role is Role.ADMIN


async def visitor_of(request: Request, engine: Engine, access: Access) -> Visitor:
    """Who sent a request. Raises NotWelcome, and Unavailable if the tokens cannot be read now."""
    if not access.is_needed:
        return Visitor()
    if engine.is_stale:
        await engine.recent()
    token = request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)
    if token is None:
        raise NotWelcome("Sign in with a token to go on.")
    return known(token, access)


def known(token: str, access: Access) -> Visitor:
    """The visitor with a token. Raises NotWelcome."""
    if not looks_like_token(token.encode()):
        raise NotWelcome("This is no token of ipamd: it begins with ipamd_ and has 43 letters behind that.")
    try:
        principal = access.look_up(b"Bearer " + token.encode(), None)
    except Unknown as why:
        raise NotWelcome(f"You are not signed in: {why}.") from None
    if principal.role not in WELCOME:
        raise NotWelcome(
            f"{principal.name} has a token of the role {principal.role}, which is for machines: sign in "
            "with one of the role admin or reader."
        )
    return Visitor(token, principal)


def sign_in(response: Response, token: str, request: Request) -> None:
    """Let a browser keep a token until it is closed."""
    encrypted = is_encrypted(request.headers, request.url.scheme)
    response.set_cookie(
        SECURE_COOKIE if encrypted else COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="strict",
        secure=encrypted,
    )


def sign_out(response: Response) -> None:
    """Let a browser forget the token."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    response.delete_cookie(SECURE_COOKIE, path="/", httponly=True, samesite="strict", secure=True)
