"""One request on a connection that is answered without a framework, and the answer to none."""

from __future__ import annotations

import asyncio
from contextvars import Context
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from ipamd.api.access import CERTIFICATE, Unknown
from ipamd.api.cni import Calls
from ipamd.api.lean import LeanRoute, Only
from ipamd.api.loopback import Headers, Loopback
from ipamd.api.problems import Problem
from ipamd.api.reply import Reply
from ipamd.models.errors import DomainError
from ipamd.models.token import Principal

_MISTAKE: Final = Reply.of(
    Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "ipamd failed on this request: its log has the details"
    )
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_NOBODY_WAITS: Final = asyncio.Event()
_NOBODY_WAITS.set()

log = structlog.get_logger()


class Connection(Protocol):
    """What an exchange needs of its connection."""

    calls: Calls
    guard: Loopback
    client_certificate: Principal | Unknown | None
    headers: list[tuple[bytes, bytes]]
    expect_100_continue: bool
    loop: asyncio.AbstractEventLoop
    tasks: set[asyncio.Task[Any]]
    flow: FlowControl
    transport: asyncio.Transport

    @property
    def date(self) -> bytes:
        """The header of every response."""
        ...

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        ...


class HttpExchange:
    """One call of the plugin, from its headers to its answer: a cycle, as far as uvicorn looks at one."""

    disconnected = False
    response_started = False
    response_complete = False
    more_body = True
    body: bytes | bytearray = b""
    message_event = _NOBODY_WAITS

    def __init__(
        self, connection: Connection, route: LeanRoute, headers: Headers, *, keep_alive: bool
    ) -> None:
        self.keep_alive = keep_alive
        self._connection = connection
        self._route = route
        self._headers = connection.headers
        self._refusal = connection.guard.refusal("POST", headers)
        self._announced = int(headers.get(b"content-length", 0))
        self._waits_to_be_asked = connection.expect_100_continue

    def start(self) -> None:
        """Answer, in a task with a context of its own."""
        connection = self._connection
        self._task = connection.loop.create_task(self._answer(), context=Context())
        connection.tasks.add(self._task)

    def take(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.response_complete:
            return
        if self.body:
            self.body = bytearray(self.body) if isinstance(self.body, bytes) else self.body
            self.body += piece
        else:
            self.body = piece
        if len(self.body) > HIGH_WATER_LIMIT:
            self._connection.flow.pause_reading()
        self.message_event.set()

    def end_body(self) -> None:
        """Note that the body is whole."""
        self.more_body = False
        self.message_event.set()

    async def _answer(self) -> None:
        connection = self._connection
        try:
            try:
                reply = await self._reply()
            except Exception:
                log.exception("a call failed", route=self._route.name)
                reply = _MISTAKE
            if connection.flow.write_paused:
                await connection.flow.drain()
            if reply is not None and not connection.transport.is_closing():
                self._write(reply)
        finally:
            connection.tasks.discard(self._task)

    def _write(self, reply: Reply) -> None:
        connection = self._connection
        connection.transport.write(reply.encoded(connection.date, close=not self.keep_alive))
        self.response_started = self.response_complete = True
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    async def _reply(self) -> Reply | None:
        """The answer. None if the connection ended before the body: nobody waits for one."""
        if self._refusal is not None:
            return Reply.of(self._refusal)
        connection, route = self._connection, self._route
        only: Only = None
        if connection.calls.ask_who_calls:
            scope = {"headers": self._headers, CERTIFICATE: connection.client_certificate}
            try:
                only = await connection.calls.asker(scope)
            except (Unknown, DomainError) as error:
                return route.refuse(error)
        if self._waits_to_be_asked and self._announced <= route.largest:
            connection.transport.write(_CONTINUE)
        if self.more_body:
            await self._wait_for_body()
            if self.disconnected:
                return None
        if max(self._announced, len(self.body)) > route.largest:
            return route.too_large()
        return await route.answer(bytes(self.body), only)

    async def _wait_for_body(self) -> None:
        """Return when the body is whole or too large, or the connection has ended."""
        self.message_event = asyncio.Event()
        while self.more_body and not self.disconnected:
            if max(self._announced, len(self.body)) > self._route.largest:
                return
            self._connection.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()


class Refusal:
    """The last answer on a connection, in place of a request that could not be read."""

    response_complete = False

    def __init__(self, transport: asyncio.Transport, words: bytes) -> None:
        self._transport = transport
        self._words = words

    async def run_asgi(self, app: object) -> None:
        """Answer; the name is that by which uvicorn starts a request."""
        self.write(begun=False)

    def write(self, *, begun: bool) -> None:
        """Write it, unless another answer has begun, and close."""
        if not begun:
            self._transport.write(self._words)
        self._transport.close()
