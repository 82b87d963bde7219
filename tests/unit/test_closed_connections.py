"""What a connection leaves behind: a plugin opens one for each call, and the collector stops all others."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hosting.serving import Listener
from ipamd.api.access import Access
from ipamd.api.call_measures import CallMeasures
from ipamd.api.cni import Calls
from ipamd.api.loopback import Loopback
from ipamd.api.protocol import Protocol
from ipamd.api.server import http_server
from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from tests.api.plugin_call import call

CONNECTIONS = 20
HEAD = "POST /v1/cni/del HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def answer(port: int) -> bytes:
    """Call the service by a connection of its own."""
    body = json.dumps(call()).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


@asynccontextmanager
async def running() -> AsyncIterator[Listener]:
    """A service in this process, in memory."""
    engine = await Engine.open(await open_backend("memory://"))
    access = Access(engine)
    try:
        yield http_server(Loopback(_nothing, access, any_host=True), Calls(engine, access, CallMeasures()))
    finally:
        await engine.close()


async def left_of_connections() -> int:
    """How many are still in memory when all are closed, and no collector has run."""
    async with running() as server:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            for _ in range(CONNECTIONS):
                assert await answer(listening.getsockname()[1]) == b"HTTP/1.1 204 No Content\r\n"
            while server.server_state.connections:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            left = sum(isinstance(each, Protocol) for each in gc.get_objects())
            server.end()
            await serving
    return left


async def calls_without_caller() -> int:
    """How many calls are under way whose connection ended before they looked at their body."""
    async with running() as server:
        make: Any = server.config.http_protocol_class
        made = make(config=server.config, server_state=server.server_state, app_state={})
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: made, ours)
            made.data_received(HEAD.encode() + b"Content-Length: 9\r\n\r\n")
            made.connection_lost(None)
            for _ in range(3):
                await asyncio.sleep(0)
            transport.abort()
        return len(server.server_state.tasks)


async def _nothing(*_: object) -> None:
    raise AssertionError("calls pass no framework")


def test_a_connection_that_is_closed_is_gone_without_the_collector() -> None:
    gc.disable()
    try:
        left = asyncio.run(left_of_connections())
    finally:
        gc.enable()

    assert left <= 1


def test_a_call_ends_whose_caller_hangs_up_before_it_looks_at_its_body() -> None:
    assert asyncio.run(calls_without_caller()) == 0
