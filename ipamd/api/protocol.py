"""HTTP/1.1 on one connection: uvicorn's protocol, with deadlines and a short path for lean routes.

Between the bytes of a request and its decision uvicorn needs a scope, two events and four messages. They cost
more than the decision. So calls are collected and answered here; all other requests go on to ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import structlog
import uvicorn
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from hosting.serving import State
from ipamd.api.access import CERTIFICATE, Unknown
from ipamd.api.body import KIBIBYTE
from ipamd.api.cni import Calls
from ipamd.api.exchange import HttpExchange, Refusal
from ipamd.api.lean import LeanRoute
from ipamd.api.loopback import Headers, Loopback
from ipamd.api.problems import TOO_SLOW, Problem
from ipamd.api.reply import Reply
from ipamd.api.tls import client_of
from ipamd.models.token import Principal

REQUEST_SECONDS: Final = 5.0
"""The time from the first byte of a request to its last. A slow sender must not occupy anything."""

IDLE_SECONDS: Final = 75.0
"""How long a connection may wait for its next request."""

SWEEP_SECONDS: Final = 1.0

LARGEST_HEAD: Final = 64 * KIBIBYTE
"""Bytes of request line and headers, and of what may come between two pieces of a body."""

_TOO_SLOW: Final = Reply.of(TOO_SLOW).encoded(b"", close=False)
_NO_REQUEST: Final = Problem(
    HTTPStatus.BAD_REQUEST,
    "no-request",
    "this is not a request of HTTP/1.1",
    headers={"Connection": "close"},
)
_HEAD_TOO_LARGE: Final = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head-too-large",
    f"request line and headers are larger than {LARGEST_HEAD} bytes",
    headers={"Connection": "close"},
)

log = structlog.get_logger()


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, calls: Calls, guard: Loopback, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.calls = calls
        self.guard = guard
        self.client_certificate: Principal | Unknown | None = None
        self._began: float | None = None
        self._idle_since = self.loop.time()
        self._unfinished = 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self.client_certificate = client_of(secured)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # It and its last request hold each other. Plugins open a connection for each call, and the collector
        # would stop all calls to find what they leave.
        self.cycle = cast(RequestResponseCycle, None)

    def data_received(self, data: bytes) -> None:
        """Read on. After bytes that are not HTTP everything is dropped."""
        if self._is_refused:
            return
        self._unfinished += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(_NO_REQUEST)
        else:
            if self._unfinished > LARGEST_HEAD:
                self._refuse(_HEAD_TOO_LARGE)

    def _stay(self, rest: bytes) -> None:
        """Read a request again without its header `Upgrade`, which a server may ignore.

        The parser takes `Upgrade` for the end of HTTP, the body included (RFC 9110, section 7.8).
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(_NO_REQUEST)
            return
        head = [b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())]
        head += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"%b\r\n%b" % (b"".join(head), rest))

    def _refuse(self, why: Problem) -> None:
        """Answer an unreadable request after the requests before it, and close the connection."""
        log.warning("unreadable request refused", why=why.code, client=self.client)
        self._is_refused = True
        self._began = None
        self.flow.pause_reading()
        refusal = Refusal(self.transport, Reply.of(why).encoded(b"", close=False))
        if self._is_idle() or self.cycle.more_body:
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            else:
                refusal.write(begun=not self._is_idle() and self.cycle.response_started)
                return
        self.pipeline.appendleft((cast(RequestResponseCycle, refusal), self.app))

    def on_message_begin(self) -> None:
        self._unfinished = 0
        self._began = self.loop.time()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._unfinished = 0
        if self.parser.should_upgrade():
            return
        headers = dict(self.headers)
        if len(headers) < len(self.headers) and [name for name, _ in self.headers].count(b"host") > 1:
            # A proxy before ipamd may have read the other one (RFC 9112, section 3.2).
            raise httptools.HttpParserError("two Hosts")
        route = self.calls.route_of(self.url)
        if route is None or self.parser.get_method() != b"POST":
            self._make_scope()
            super().on_headers_complete()
            return
        before = self.cycle
        cycle = self._call(route, headers)
        self.cycle = cast(RequestResponseCycle, cycle)
        if before is None or before.response_complete:
            cycle.start()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _make_scope(self) -> None:
        """Make of a request what ASGI needs, and lean routes do not."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope has the same list
        if self.client_certificate is not None:
            cast(Scope, self.scope)[CERTIFICATE] = self.client_certificate

    def _call(self, route: LeanRoute, headers: Headers) -> HttpExchange:
        # Without the header `Connection` only connections of HTTP/1.1 stay open.
        stays = self.parser.should_keep_alive()
        if stays and b"connection" in headers:
            stays = self.parser.get_http_version() != "1.0"
        return HttpExchange(self, route, headers, keep_alive=stays)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, HttpExchange):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    @property
    def date(self) -> bytes:
        """The header of every response."""
        return cast(State, self.server_state).date

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        if isinstance(self.cycle, HttpExchange):
            self.cycle.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._began = None
        if isinstance(self.cycle, HttpExchange):
            self.cycle.end_body()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, if it is there. `sweep` ends a connection that sends none."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def end_if_overdue(self, now: float) -> None:
        """Close a connection whose request is late: the one that has begun, or the next one."""
        if self._began is not None and now - self._began > REQUEST_SECONDS:
            self._end(_TOO_SLOW)
        elif self._began is None and self._is_idle() and now - self._idle_since > IDLE_SECONDS:
            self._end(b"")

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _end(self, last_words: bytes) -> None:
        # A client that reads nothing would keep the unwritten bytes for ever.
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        if not (self.cycle is not None and self.cycle.response_started):
            self.transport.write(last_words)
        self.transport.close()


def protocol_of(calls: Calls, guard: Loopback) -> type[asyncio.Protocol]:
    """The class that uvicorn makes an instance of for each connection."""
    return cast(type[asyncio.Protocol], partial(Protocol, calls, guard))


async def sweep(servers: Iterable[uvicorn.Server]) -> None:
    """Close overdue connections until cancelled. So no request needs a timer of its own."""
    states: list[ServerState] = [server.server_state for server in servers]
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = loop.time()
        for state in states:
            for connection in list(state.connections):
                cast(Protocol, connection).end_if_overdue(now)
