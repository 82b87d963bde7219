"""ipamd's own server set-up with a call that decides and stores nothing: the limit of HTTP.

`python -m benchmarks.empty_route PORT [SOCKET]` serves until it is killed, on a Unix socket too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.pinning import pin
from ipamd.api.access import Access
from ipamd.api.application import Application
from ipamd.api.call_measures import CallMeasures
from ipamd.api.cni import Calls, Verb
from ipamd.api.lean import Only
from ipamd.api.loopback import Loopback
from ipamd.api.reply import Reply
from ipamd.api.server import http_server
from ipamd.backends.registry import open_backend
from ipamd.cli.serving import keep_collector_small
from ipamd.engine.engine import Engine
from tests.ports import free_port

ANSWER: Final = b'{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/8","gateway":"10.0.0.1"}]}'
START_SECONDS: Final = 20


class _Empty(Verb):
    """Answers what an ADD would be answered."""

    async def answer(self, raw: bytes, only: Only) -> Reply:
        return Reply(HTTPStatus.OK, ANSWER)


class _EmptyCalls(Calls):
    """Hands every call to that."""

    def verb_of(self, url: bytes) -> Verb | None:
        verb = super().verb_of(url)
        return _Empty(verb.name, verb.decide, verb.measures) if verb is not None else None


async def _serve(port: int, path: Path | None) -> None:
    keep_collector_small()
    engine = await Engine.open(await open_backend("memory://"))
    access = Access(engine)
    calls = _EmptyCalls(engine, access, CallMeasures())
    application = Loopback(Application(engine, access, calls), access, any_host=True)
    with ExitStack() as context:
        listeners = []
        if path is not None:
            listeners.append(context.enter_context(socket.socket(socket.AF_UNIX)))
            listeners[0].bind(os.fspath(path))
            listeners[0].listen()
        # Whoever waits for the port waits for both.
        listeners.append(context.enter_context(socket.create_server(("127.0.0.1", port), backlog=2048)))
        await http_server(application, calls).serve(sockets=listeners)


@contextmanager
def running_empty_route(path: Path | None = None, *, pinned: bool = True) -> Iterator[int]:
    """The port of such a server, on the core that ipamd has otherwise; it listens on a Unix socket too."""
    port = free_port()
    where = [str(port)] if path is None else [str(port), os.fspath(path)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_route", *where])
    try:
        _wait_for(port)
        if pinned:
            pin(process)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the empty route did not start")


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None))
