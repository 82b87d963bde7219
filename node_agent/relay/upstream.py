"""The agent's connections to ipamd: they stay open, and endpoints have an order."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from cni_plugin.endpoint import HTTPS, UNIX, Endpoint
from hosting.watching import Watched
from node_agent.facts import Facts
from node_agent.failure import CommandFailed, ExitCode

CONNECT_SECONDS: Final = 1.0
"""The same as in the plugin: if one endpoint is silent for so long, another may be tried."""

_MOST_CONNECTIONS: Final = 128
_KEEP_SECONDS: Final = 60.0
"""A little less than ipamd keeps an idle connection, so that ipamd closes none under a request."""

_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Silent(Exception):
    """No endpoint answered. With `doubtful` one of them may have got the request."""

    def __init__(self, why: str, *, doubtful: bool) -> None:
        super().__init__(why)
        self.doubtful = doubtful


class Refused(Exception):
    """ipamd says no. `str()` is its sentence; `seconds` is after how long it wants to be asked again."""

    def __init__(self, sentence: str, seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """The endpoints of one ipamd. The one that answered last is tried first."""

    def __init__(self, endpoints: Sequence[Endpoint], files: Mapping[str, str], facts: Facts) -> None:
        """Raises CommandFailed if the TLS files cannot be used."""
        self._facts = facts
        self._files = files
        self._ways = [_Way(one) for one in endpoints]
        used = [Path(file) for file in files.values() if file]
        secured = any(one.scheme == HTTPS for one in endpoints)
        self.watched = (
            [Watched("TLS", used, self._secure, CommandFailed, self._keep_former)] if secured else []
        )
        """The files to watch: certificates and authorities may be replaced."""

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Response:
        """Ask one endpoint after another until one answers. Raises Silent.

        If nobody knows how an attempt ended, there is no further attempt: the caller must know of the doubt.
        """
        deadline = time.monotonic() + seconds
        whys: list[str] = []
        for way in list(self._ways):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                answer = await way.ask(method, path, headers, body, left)
            except (httpx.TransportError, TimeoutError) as error:
                whys.append(f"{way.endpoint.text}: {_reason(error)}")
                if not isinstance(error, _UNSENT):
                    raise self._silent(whys, doubtful=True) from None
                continue
            self._prefer(way)
            return answer
        raise self._silent(whys or ["there was no time left"], doubtful=False)

    def _secure(self) -> None:
        """Use the TLS files as they are now for all later calls. Raises CommandFailed."""
        context = _context(self._files)
        for way in self._ways:
            way.secure(context)

    def _keep_former(self, what: str, why: str) -> None:
        self._facts.fail(f"the files of {what} cannot be used; those before stay in use", why)

    async def close(self) -> None:
        """Close the connections."""
        for way in self._ways:
            await way.close()

    def _prefer(self, way: _Way) -> None:
        if self._ways[0] is not way:
            self._ways.remove(way)
            self._ways.insert(0, way)
        self._facts.reached(way.endpoint.text)

    def _silent(self, whys: list[str], *, doubtful: bool) -> Silent:
        why = "; ".join(whys)
        self._facts.upstream = None
        self._facts.fail("ipamd does not answer", why)
        return Silent(why, doubtful=doubtful)


class _Way:
    """One endpoint with its connections. Proxies of the environment are ignored."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._uds = endpoint.path if endpoint.scheme == UNIX else None
        self._base = (
            "http://localhost" if self._uds else f"{endpoint.scheme}://{endpoint.authority}{endpoint.path}"
        )
        self._connections = _Connections(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self._uds)
        self._retiring: set[asyncio.Task[None]] = set()

    def secure(self, context: ssl.SSLContext) -> None:
        """Use new connections for later calls. Those that exist close after their calls."""
        former, self._connections = self._connections, _Connections(context, self._uds)
        task = asyncio.get_running_loop().create_task(former.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Response:
        # Without a client in between: redirects, cookies and the like are nothing that ipamd has.
        connect = min(CONNECT_SECONDS, seconds)
        timeouts = {"connect": connect, "pool": connect, "read": seconds, "write": seconds}
        request = httpx.Request(
            method, self._base + path, headers=headers, content=body, extensions={"timeout": timeouts}
        )
        async with asyncio.timeout(seconds + connect):
            return await self._connections.ask(request)

    async def close(self) -> None:
        await asyncio.gather(self._connections.retire(), *self._retiring)


class _Connections:
    """The connections to one endpoint that were made with the same certificates."""

    def __init__(self, tls: ssl.SSLContext, uds: str | None) -> None:
        self._calls = 0
        self._is_former = False
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls,
            uds=uds,
            limits=httpx.Limits(
                max_connections=_MOST_CONNECTIONS,
                max_keepalive_connections=_MOST_CONNECTIONS,
                keepalive_expiry=_KEEP_SECONDS,
            ),
        )

    async def ask(self, request: httpx.Request) -> Response:
        self._calls += 1
        try:
            response = await self._transport.handle_async_request(request)
            try:
                return Response(response.status_code, response.headers, await response.aread())
            finally:
                await response.aclose()
        finally:
            self._calls -= 1
            await self._close_if_done()

    async def retire(self) -> None:
        """Close the connections when the calls under way are answered."""
        self._is_former = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._is_former and self._calls == 0:
            await self._transport.aclose()


def _context(files: Mapping[str, str]) -> ssl.SSLContext:
    """The authority that signed ipamd's certificate, and this node's certificate if it has one.

    Raises CommandFailed.

    An authority cannot be removed from a context, so other files make a new context.
    """
    # As the plugin makes it: Python's default context is stricter from 3.13 on, and refuses an authority that
    # the plugin beside this agent trusts.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority = Path(files["caFile"])
    try:
        context.load_verify_locations(cadata=authority.read_text("ascii", "replace"))
    except OSError as error:
        why = error.strerror or error
        raise CommandFailed(f"caFile {authority} cannot be used: {why}", ExitCode.USAGE) from None
    if files["certFile"]:
        try:
            context.load_cert_chain(files["certFile"], files["keyFile"])
        except (OSError, ssl.SSLError) as error:
            raise CommandFailed(f"certFile and keyFile cannot be used: {error}", ExitCode.USAGE) from None
    return context


def _reason(error: Exception) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    return text or ("no answer in time" if "Timeout" in type(error).__name__ else type(error).__name__)
