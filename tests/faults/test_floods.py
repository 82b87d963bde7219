"""One node, or somebody who wishes ill, keeps ipamd busy: the other nodes hardly notice."""

import asyncio
import json
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.plugin_call import call
from tests.service import IpamdProcess

IDLE = 2000
FLOOD = 600
MORE_THAN_MAY_WAIT = 2400
PATIENCE = 30


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def request(container: str, node: str) -> bytes:
    body = json.dumps(call(container, node=node, timeout=PATIENCE)).encode()
    head = b"POST /v1/cni/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def asked(service: IpamdProcess, container: str, node: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of an ADD on a connection of its own."""
    reader, writer = await asyncio.open_unix_connection(str(service.socket))
    writer.write(request(container, node))
    head, _, body = (await asyncio.wait_for(reader.read(), PATIENCE)).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


@contextmanager
def stopped_database(service: IpamdProcess) -> Iterator[None]:
    """While it lasts every batch waits, and calls collect behind it."""
    blocker = sqlite3.connect(service.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()


async def test_a_quiet_node_does_not_wait_for_all_calls_of_a_busy_one(
    ipamd_process: IpamdProcess,
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/16")
    await asked(ipamd_process, "first-of-busy", "busy")
    await asked(ipamd_process, "first-of-quiet", "quiet")
    answered = 0

    async def flood(number: int) -> int:
        nonlocal answered
        status, _, _ = await asked(ipamd_process, f"c{number}", "busy")
        answered += 1
        return status

    with stopped_database(ipamd_process):
        flooding = [asyncio.create_task(flood(number)) for number in range(FLOOD)]
        await asyncio.sleep(1)
        quiet = asyncio.create_task(asked(ipamd_process, "quiet", "quiet"))
        await asyncio.sleep(0.3)
    status, _, _ = await quiet
    before = answered

    assert status == 200
    assert before <= FLOOD - 50
    assert set(await asyncio.gather(*flooding)) == {200}


async def test_a_node_with_too_many_calls_is_asked_to_come_again(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/16")
    await asked(ipamd_process, "first-of-busy", "busy")
    await asked(ipamd_process, "first-of-quiet", "quiet")

    with stopped_database(ipamd_process):
        flooding = [
            asyncio.create_task(asked(ipamd_process, f"c{number}", "busy"))
            for number in range(MORE_THAN_MAY_WAIT)
        ]
        await asyncio.wait(flooding, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        quiet = asyncio.create_task(asked(ipamd_process, "quiet", "quiet"))
        await asyncio.sleep(0.2)
    answers = await asyncio.gather(*flooding)
    refused = [(headers, document) for status, headers, document in answers if status == 503]

    assert (await quiet)[0] == 200
    assert refused
    assert {status for status, _, _ in answers} == {200, 503}
    assert all(headers["retry-after"] == "1" and document["code"] == 11 for headers, document in refused)
    assert "2000 calls of node busy" in refused[0][1]["msg"]


async def test_idle_connections_and_slow_senders_keep_nobody_waiting(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/16")
    idle = [await asyncio.open_unix_connection(str(ipamd_process.socket)) for _ in range(IDLE)]
    slow = [await asyncio.open_unix_connection(str(ipamd_process.socket)) for _ in range(50)]

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """One byte a second, until the other side has enough of it."""
        reading = asyncio.create_task(reader.read())
        for byte in request("slow", "slow"):
            writer.write(bytes((byte,)))
            await asyncio.wait([reading], timeout=1)
            if reading.done():
                break
        return await reading

    dripping = [asyncio.create_task(drip(*connection)) for connection in slow]
    answers = [await asked(ipamd_process, f"c{number}", "quiet") for number in range(100)]
    cut = await asyncio.wait_for(asyncio.gather(*dripping), PATIENCE)

    assert {status for status, _, _ in answers} == {200}
    assert all(last.startswith(b"HTTP/1.1 408 ") for last in cut)
    assert len(ipamd_process.http.get("/v1/allocations").json()["items"]) == 100
    for _, writer in idle + slow:
        writer.close()
