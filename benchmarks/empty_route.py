"""ipamd's own server set-up with an application that decides and stores nothing: the limit of HTTP.

`python -m benchmarks.empty_route PORT` serves until it is killed.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvloop
from starlette.types import Receive, Scope, Send

from benchmarks.pinning import pin
from ipamd.api.server import http_server
from ipamd.cli.serve import keep_collector_small
from tests.service import free_port

ANSWER: Final = b'{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/8","gateway":"10.0.0.1"}]}'
START_SECONDS: Final = 20


async def application(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body, answer what an ADD would be answered."""
    await receive()
    length = str(len(ANSWER)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def _serve(port: int) -> None:
    keep_collector_small()
    with socket.create_server(("127.0.0.1", port), backlog=2048) as listener:
        await http_server(application).serve(sockets=[listener])


@contextmanager
def running_empty_route() -> Iterator[int]:
    """The port of such a server, on the core that ipamd has otherwise."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_route", str(port)])
    try:
        _wait_for(port)
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
    asyncio.run(_serve(int(sys.argv[1])))
