"""Several listeners that start and end together, and tasks beside them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from email.utils import formatdate
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from hosting.systemd import notify

GRACE: Final = 15
"""Seconds to answer the requests under way after the process is told to end."""


class State(ServerState):
    """What the connections of a listener share. The date is made when it is asked for."""

    _second = 0
    _date = b""

    @property
    def date(self) -> bytes:
        """The line of the header that every response has."""
        now = int(time.time())
        if now != self._second:
            self._second, self._date = now, b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        return self._date

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The same, as uvicorn's own responses have it."""
        return [(b"date", self.date[len(b"date: ") : -len(b"\r\n")])]

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Uvicorn's own constructor sets them."""


class Listener(uvicorn.Server):
    """One listener. It handles no signals: its owner does, for all listeners together."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.server_state = State()
        self._told_to_end = asyncio.Event()

    def end(self) -> None:
        """Take no more connections, and end after the requests under way; the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._told_to_end.set()

    async def main_loop(self) -> None:
        """Wait for the end. uvicorn's own looks for it ten times a second, also while nothing happens."""
        await self._told_to_end.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def configuration(application: Any, **more: Any) -> uvicorn.Config:
    """A uvicorn server for one application, without uvicorn's other features. `more` has further settings."""
    return uvicorn.Config(
        application,
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        **more,
    )


async def serve(
    listeners: Sequence[tuple[Listener, socket.socket]],
    beside: Sequence[Coroutine[Any, Any, None]],
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests under way, and return.

    Tasks beside the listeners are cancelled when these have ended. `at_end` is called when the end begins, to
    let go requests that wait. systemd is told when serving begins and ends.
    """
    servers = [listener for listener, _ in listeners]
    with _until_told_to_end(servers, at_end):
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(each) for each in beside]
            serving = [tasks.create_task(listener.serve(sockets=[each])) for listener, each in listeners]
            for listener in servers:
                await listener.listening.wait()
            notify("READY=1")
            await asyncio.wait(serving)
            for task in others:
                task.cancel()


@contextlib.contextmanager
def _until_told_to_end(servers: Sequence[Listener], at_end: Callable[[], None]) -> Iterator[None]:
    """Ends the servers at the first SIGTERM or SIGINT. The second ends them without waiting."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        notify("STOPPING=1")
        at_end()
        for server in servers:
            server.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
