"""Keeps web pages out while there are no tokens.

A page that a browser on this machine shows may send requests to loopback. Two things give it away: its name
for us (a name of its own that resolves to 127.0.0.1 is how it would be allowed to read the answer), and
that without a preflight, which we never grant, it can send no body of type application/json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ipamd.api.access import Access
from ipamd.api.problems import Problem

Headers = Mapping[bytes, bytes]

_OURS: Final = re.compile(rb"(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
_JSON: Final = (b"application/json", b"application/merge-patch+json")
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS")

_WRONG_HOST: Final = Problem(
    HTTPStatus.FORBIDDEN,
    "not-allowed",
    "ipamd answers to the Hosts 127.0.0.1, [::1] and localhost only, while it has no tokens",
)
_WRONG_TYPE: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported-media-type",
    "send the body with Content-Type: application/json",
)


class Loopback:
    """An application behind this guard. On a Unix socket, which no page reaches, every Host is good.

    So it is where there are tokens, which no page has.
    """

    def __init__(self, application: ASGIApp, access: Access, *, any_host: bool) -> None:
        self._application = application
        self._access = access
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._application
        if scope["type"] == "http":
            application = self.refusal(scope["method"], dict(scope["headers"])) or application
        await application(scope, receive, send)

    def refusal(self, method: str, headers: Headers) -> Problem | None:
        """Why a request is not let in, None when it is; headers by their names in lower case."""
        guarded = not self._any_host and not self._access.is_needed
        if guarded and _OURS.fullmatch(headers.get(b"host", b"")) is None:
            return _WRONG_HOST
        if _has_body(method, headers) and not _is_json(headers):
            return _WRONG_TYPE
        return None


def _has_body(method: str, headers: Headers) -> bool:
    if method in _WITHOUT_BODY:
        return False
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0 ") != b""


def _is_json(headers: Headers) -> bool:
    kind = headers.get(b"content-type", b"")
    return kind in _JSON or kind.partition(b";")[0].strip().lower() in _JSON
