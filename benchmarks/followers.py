"""Nodes that follow the changes of a pod network, as agents do: when each of them hears of a new block."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_interface
from typing import Final

from benchmarks.load import HTTP_OK, Connection, body, pods, request, run
from tests.service import IpamdProcess

POOL: Final = "small"
SUBNET: Final = "10.32.0.0/12"
BLOCK_LENGTH: Final = 30
SECONDS: Final = 60
_ASK: Final = (
    b"GET /v1/network/changes?cluster=default&node=node-%d&machine=machine-%d&epoch=%b&after=%d&wait=30"
    b" HTTP/1.1\r\nhost: localhost\r\n\r\n"
)
_NUMBER: Final = b'"number": '


@dataclass(frozen=True)
class Carved:
    """A block that was new, and how many seconds after the ADD that brought it each node had heard of it."""

    block: IPv4Network
    began: float
    heard: Sequence[float]


def publish(service: IpamdProcess, number: int) -> None:
    """Publish node-0 and so on, as their agents would; raises unless each is taken."""
    requests = [_publication(each) for each in range(number)]
    outcome = run(service.port, requests, 8)
    assert outcome.statuses == {HTTP_OK: number}, (outcome.statuses, outcome.bodies[:1])


def _publication(number: int) -> bytes:
    high, low = divmod(number, 250)
    document = {
        "machine": f"machine-{number}",
        "address": f"198.18.{high}.{low + 1}",
        "prefixes": [f"198.18.{high}.0/24"],
        "mtu": 1500,
        "mac": f"02:00:00:00:{high:02x}:{low:02x}",
    }
    content = json.dumps(document).encode()
    head = b"PUT /v1/network/nodes/default/node-%d HTTP/1.1\r\nhost: localhost\r\n" % number
    return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


class Followers:
    """So many nodes, each on a connection of its own."""

    def __init__(self, service: IpamdProcess, number: int) -> None:
        self._service = service
        self._number = number
        self._connections: dict[Connection, int] = {}
        self._known: dict[Connection, int] = {}
        self._epoch = b""
        self._answers: list[tuple[float, Connection, bytes]] = []
        self._came = asyncio.Event()

    async def connect(self) -> None:
        """Connect all, and have each ask for the first time."""
        network = json.loads(await asyncio.to_thread(self._whole))
        self._epoch = network["epoch"].encode()
        loop = asyncio.get_running_loop()
        for node in range(self._number):
            _, made = await loop.create_connection(
                lambda: Connection(self._answered), "127.0.0.1", self._service.port
            )
            self._connections[made], self._known[made] = node, network["number"]
            self._ask(made)

    def close(self) -> None:
        """Hang up."""
        connections, self._connections = self._connections, {}
        for each in connections:
            each.close()

    async def carve(self, node: int) -> Carved:
        """Have a block carved for a node that has none of the small pool, and wait until all heard of it."""
        self._answers.clear()
        began = time.perf_counter()
        granted = await self._add(node)
        block = ip_interface(f"{granted}/{BLOCK_LENGTH}").network
        assert isinstance(block, IPv4Network)
        text = b'"%b"' % str(block).encode()
        heard: dict[Connection, float] = {}
        async with asyncio.timeout(SECONDS):
            while len(heard) < len(self._connections):
                self._came.clear()
                for at, connection, answer in self._answers:
                    if text in answer:
                        heard.setdefault(connection, at)
                self._answers.clear()
                if len(heard) < len(self._connections):
                    await self._came.wait()
        return Carved(block, began, sorted(at - began for at in heard.values()))

    def _whole(self) -> bytes:
        return self._service.http.get("/v1/network").raise_for_status().content

    async def _add(self, node: int) -> str:
        pod = pods(1)[0]._replace(node=node)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(_connection: Connection, status: int, content: bytes) -> None:
            if not answered.done():
                assert status == HTTP_OK, content
                answered.set_result(content)

        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(answer), "127.0.0.1", self._service.port
        )
        connection.send(request("/v1/cni/add", body(pod, POOL)))
        granted: str = json.loads(await answered)["ips"][0]["address"].partition("/")[0]
        connection.close()
        return granted

    def _ask(self, connection: Connection) -> None:
        node = self._connections[connection]
        connection.send(_ASK % (node, node, self._epoch, self._known[connection]))

    def _answered(self, connection: Connection, status: int, answer: bytes) -> None:
        if connection not in self._connections:
            return
        assert status == HTTP_OK, (status, answer)
        at = answer.index(_NUMBER) + len(_NUMBER)
        self._known[connection] = int(answer[at : answer.index(b",", at)])
        self._answers.append((time.perf_counter(), connection, answer))
        self._came.set()
        self._ask(connection)
