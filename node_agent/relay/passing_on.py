"""The socket of the agent: it passes the plugin's calls on to ipamd, with the node's token.

The plugin can trust the answers. If a call certainly did not reach ipamd, the answer is 503 with a CNI error
object, and the plugin goes on to its next endpoint. If nobody knows how a call ended, the answer is 502
without an error object, so that the plugin knows of the doubt.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from node_agent.metrics import Measures
from node_agent.relay.holding_back import UntilKnown
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Response, Silent, Upstream

VERBS: Final = ("add", "del", "check", "gc", "status")
STATUS: Final = "/status"

_LARGEST: Final = (4 << 20) + 1
"""ipamd accepts a GC of 4 MiB. With one byte more ipamd itself refuses it."""
_BODY_SECONDS: Final = 10.0
_DEFAULT_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 600.0
_SPARE_SECONDS: Final = 1.0
"""So long before the plugin's time is over it is answered, whoever does not send to its addresses yet."""
_PASSED_ON: Final = frozenset((b"content-type", b"user-agent", b"traceparent", b"tracestate", b"baggage"))
_BACK: Final = ("content-type", "retry-after")
_TRY_AGAIN: Final = 11


class _Timed(msgspec.Struct):
    timeout: float = _DEFAULT_SECONDS


class _Gone(Exception):
    """The plugin closed the connection, or sent too much or too slowly. Nobody waits for an answer."""


_TIMED: Final = msgspec.json.Decoder(_Timed)
_PATHS: Final = {f"/v1/cni/{verb}": verb for verb in VERBS}


class Relay:
    """An ASGI application for one socket."""

    def __init__(
        self,
        upstream: Upstream,
        membership: Membership,
        measures: Measures,
        status: Callable[[], dict[str, Any]],
        saw: Callable[[bytes], None],
        until_known: UntilKnown,
    ) -> None:
        """`saw` is told the body of each ADD to which ipamd said yes, and `until_known` the answer."""
        self._upstream = upstream
        self._membership = membership
        self._measures = measures
        self._status = status
        self._saw = saw
        self._until_known = until_known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb = _PATHS.get(scope["path"])
        if verb is not None and scope["method"] == "POST":
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    body = await _read(receive)
            except (_Gone, TimeoutError):
                await _answer(send, HTTPStatus.REQUEST_TIMEOUT, b"", {})
                return
            answer = await self._pass_on(verb, scope, body)
            back = {name: answer.headers[name] for name in _BACK if name in answer.headers}
            await _answer(send, answer.status, answer.body, back)
        elif scope["path"] == STATUS and scope["method"] == "GET":
            document = json.dumps(self._status()).encode()
            await _answer(send, HTTPStatus.OK, document, {"content-type": "application/json"})
        else:
            await _answer(send, HTTPStatus.NOT_FOUND, b"", {})

    async def _pass_on(self, verb: str, scope: Scope, body: bytes) -> Response:
        headers = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PASSED_ON
        }
        membership = self._membership
        if membership.token:
            headers["authorization"] = f"Bearer {membership.token}"
        elif membership.is_wanted:
            self._measures.count(verb, "not joined")
            return _busy("the node agent has no token for this node yet")
        began = time.perf_counter()
        try:
            answer = await self._upstream.ask("POST", f"/v1/cni/{verb}", headers, body, _seconds(body))
        except Silent as silent:
            self._measures.count(verb, "doubtful" if silent.doubtful else "unreachable")
            if silent.doubtful:
                return _plain(HTTPStatus.BAD_GATEWAY)
            return _busy(f"the node agent does not reach ipamd: {silent}")
        self._measures.count(verb, str(answer.status), time.perf_counter() - began)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            membership.was_refused()
        if verb == "add" and answer.status == HTTPStatus.OK:
            self._saw(body)
            left = _seconds(body) - (time.perf_counter() - began) - _SPARE_SECONDS
            await self._until_known([answer.body], max(0.0, left))
        return answer


async def _read(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise _Gone
        if not message.get("more_body", False):
            return b"".join(pieces)


def _seconds(body: bytes) -> float:
    """How long the plugin waits. ipamd refuses a body that is not JSON."""
    try:
        given = _TIMED.decode(body).timeout
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _DEFAULT_SECONDS
    return min(given, _LONGEST_SECONDS) if given > 0 else _DEFAULT_SECONDS


def _busy(why: str) -> Response:
    error = {"cniVersion": "1.1.0", "code": _TRY_AGAIN, "msg": why}
    return _plain(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(error).encode())


def _plain(status: HTTPStatus, body: bytes = b"") -> Response:
    return Response(status, {"content-type": "application/json"} if body else {}, body)


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    if status != HTTPStatus.NO_CONTENT:
        given.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
