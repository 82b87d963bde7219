"""The network between nodes and ipamd: what becomes of each request is said in advance."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from enum import Enum
from typing import Final

from node_agent.facts import Facts
from node_agent.relay.upstream import Response, Silent, Upstream

Serve = Callable[[str, bytes], Awaitable[Response]]
"""ipamd, as it answers a path and a body. Raises ConnectionError if it is not there."""

LATER: Final = 7.0
"""Seconds after which a request, an answer or a copy comes that is late."""


MUCH_LATER: Final = 45.0

_COPIES: Final = {"TWICE": 0.0, "TWICE_LATE": LATER, "TWICE_MUCH_LATER": MUCH_LATER}
"""After how many seconds a copy comes, by the fate of its request."""


class Fate(Enum):
    """What becomes of a request."""

    LOST = "the request is lost"
    UNANSWERED = "its answer is lost"
    LATE = "it comes late, to somebody who may have given up"
    TWICE = "it comes twice"
    TWICE_LATE = "it comes, and once more later"
    TWICE_MUCH_LATER = "it comes, and once more when nobody would think of it"


class Link:
    """The way of one machine to ipamd."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._copies: set[asyncio.Task[Response]] = set()
        self.fates: deque[Fate | None] = deque()
        self.is_cut = False
        self.was_late = False

    async def close(self) -> None:
        """Nothing arrives any more."""
        for copy in self._copies:
            copy.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    async def ask(self, path: str, body: bytes, seconds: float) -> Response:
        """The answer. Raises Silent, doubtful if ipamd may have got the request."""
        if self.is_cut:
            raise Silent("no route to host", doubtful=False)
        fate = self.fates.popleft() if self.fates else None
        try:
            async with asyncio.timeout(seconds):
                return await self._meet(fate, path, body)
        except TimeoutError:
            raise Silent("no answer in time", doubtful=True) from None
        except (ConnectionError, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # who asked is gone, not ipamd
            raise Silent("connection closed", doubtful=isinstance(error, asyncio.CancelledError)) from None

    async def _meet(self, fate: Fate | None, path: str, body: bytes) -> Response:
        if fate is Fate.LOST:
            return await _never()
        if fate is Fate.LATE:
            self.was_late = True
            return await asyncio.shield(self._send(path, body, LATER))
        answer = await asyncio.shield(self._send(path, body, 0))
        if fate is Fate.UNANSWERED:
            return await _never()
        if fate is not None and fate.name in _COPIES:
            self._send(path, body, _COPIES[fate.name])
        return answer

    def _send(self, path: str, body: bytes, seconds: float) -> asyncio.Task[Response]:
        async def send() -> Response:
            await asyncio.sleep(seconds)
            return await self._serve(path, body)

        # It goes on if whoever sent it is killed.
        copy = asyncio.get_running_loop().create_task(send(), context=Context())
        self._copies.add(copy)
        copy.add_done_callback(self._done)
        return copy

    def _done(self, copy: asyncio.Task[Response]) -> None:
        self._copies.discard(copy)
        if not copy.cancelled():
            copy.exception()  # if somebody waits for it, it is told


class LinkedUpstream(Upstream):
    """The agent's connections, over a simulated network."""

    def __init__(self, link: Link) -> None:
        super().__init__([], {}, Facts())
        self._link = link

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Response:
        return await self._link.ask(path, body, seconds)


async def _never() -> Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("this is never reached")
