"""What a connection leaves behind: a plugin opens one for each call, and the collector stops all others."""

import asyncio
import gc
import json
import socket

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


async def answer(port: int) -> bytes:
    """Call the service by a connection of its own."""
    body = json.dumps(call()).encode()
    head = "POST /v1/cni/del HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


async def left_of_connections() -> int:
    """How many are still in memory when all are closed, and no collector has run."""
    engine = await Engine.open(await open_backend("memory://"))
    access = Access(engine)
    calls = Calls(engine, access, CallMeasures())
    server = http_server(Loopback(_nothing, access, any_host=True), calls)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            for _ in range(CONNECTIONS):
                assert await answer(listening.getsockname()[1]) == b"HTTP/1.1 204 No Content\r\n"
            while server.server_state.connections:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            return sum(isinstance(each, Protocol) for each in gc.get_objects())
        finally:
            server.end()
            await serving
            await engine.close()


async def _nothing(*_: object) -> None:
    raise AssertionError("calls pass no framework")


def test_a_connection_that_is_closed_is_gone_without_the_collector() -> None:
    gc.disable()
    try:
        left = asyncio.run(left_of_connections())
    finally:
        gc.enable()

    assert left <= 1
