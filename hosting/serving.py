"""Several listeners that start and end together, and tasks beside them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any, Final

import uvicorn

from hosting.systemd import notify

GRACE: Final = 15
"""Seconds to answer the requests under way after the process is told to end."""


class Listener(uvicorn.Server):
    """One listener. It handles no signals: its owner does, for all listeners together."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

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
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
