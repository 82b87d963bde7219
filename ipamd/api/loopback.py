"""Keeps web pages out while ipamd has no tokens.

A web page in a browser on this machine can send requests to loopback. ipamd tells them apart in two ways. To
be allowed to read the answer, the page must call ipamd by a name of its own that resolves to 127.0.0.1: the
Host is wrong. And to send a body of type application/json it needs a preflight, which ipamd never grants. The
page has forms, whose bodies are of another type: it takes those alone that its own pages sent (`web/origin`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ipamd.api.access import Access
from ipamd.api.page_paths import is_of_the_page
from ipamd.api.problems import Problem

Headers = Mapping[bytes, bytes]

_OURS: Final = re.compile(rb"(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
_JSON: Final = (b"application/json", b"application/merge-patch+json")
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS")

_WRONG_HOST: Final = Problem(
    HTTPStatus.FORBIDDEN,
    "not-allowed",
    "while ipamd has no tokens it answers only to the Hosts 127.0.0.1, [::1] and localhost",
)
_WRONG_TYPE: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported-media-type",
    "send the body with Content-Type: application/json",
)


class Loopback:
    """An application behind this guard. On a Unix socket any Host is allowed: no web page can reach it.

    With tokens any Host is allowed too: no web page has one.
    """

    def __init__(self, application: ASGIApp, access: Access, *, any_host: bool) -> None:
        self._application = application
        self._access = access
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._application
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            refusal = self._wrong_host(headers)
            if refusal is None and not is_of_the_page(scope["path"]):
                refusal = self.refusal(scope["method"], headers)
            application = refusal or application
        await application(scope, receive, send)

    def refusal(self, method: str, headers: Headers) -> Problem | None:
        """Why a request is refused, None if it is not. The names of headers are in lower case."""
        wrong_host = self._wrong_host(headers)
        if wrong_host is not None:
            return wrong_host
        if _has_body(method, headers) and not _is_json(headers):
            return _WRONG_TYPE
        return None

    def _wrong_host(self, headers: Headers) -> Problem | None:
        guarded = not self._any_host and not self._access.is_needed
        return _WRONG_HOST if guarded and _OURS.fullmatch(headers.get(b"host", b"")) is None else None


def _has_body(method: str, headers: Headers) -> bool:
    if method in _WITHOUT_BODY:
        return False
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0 ") != b""


def _is_json(headers: Headers) -> bool:
    kind = headers.get(b"content-type", b"")
    return kind in _JSON or kind.partition(b";")[0].strip().lower() in _JSON
