"""A client that keeps many calls under way on connections that stay open, and checks what it was answered."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

CONFIG: Final = (
    b'{"cniVersion":"1.0.0","name":"pods","type":"bridge","ipam":{"type":"ipamd-ipam","pools":["%s"]}}'
)
ADD: Final = (
    b'{"container_id":"%s","netns":"/run/netns/x","netns_id":[4,4026532000],"ifname":"eth0",'
    b'"args":"IgnoreUnknown=1;K8S_POD_NAMESPACE=ns-%d;K8S_POD_NAME=pod-%s;K8S_POD_UID=%s","path":"/opt/cni/bin",'
    b'"cluster":"default","node":"node-%d","issued":{"boot":"5afbf9ad-2078-45d6-888a-9b7fab4c0d3e","uptime_ns":%d,'
    b'"time":"2026-01-01T00:00:00Z"},"timeout":30,"config":%s}'
)
NODES: Final = 100
NAMESPACES: Final = 20


def add_body(number: int, pool: str) -> bytes:
    """The body of an ADD for a container that nobody has heard of."""
    container = os.urandom(32).hex().encode()
    config = CONFIG % pool.encode()
    return ADD % (
        container,
        number % NAMESPACES,
        container[:10],
        container[:32],
        number % NODES,
        1_000_000 + number,
        config,
    )


def request(path: str, body: bytes, method: str = "POST") -> bytes:
    """One HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%s" % (len(body), body)


@dataclass
class Outcome:
    """What a load saw: answers by status, the bodies of the good ones, seconds for each call and for all."""

    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the calls was answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Connection(asyncio.Protocol):
    """Sends its requests one after another, each when the answer to the one before has come."""

    def __init__(self, requests: list[bytes], outcome: Outcome) -> None:
        self._requests = iter(requests)
        self._outcome = outcome
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _length(head)
        if len(rest) < length:
            return
        status = int(head[9:12])
        self._outcome.latencies.append(time.perf_counter() - self._sent)
        self._outcome.statuses[status] = self._outcome.statuses.get(status, 0) + 1
        if status == 200:
            self._outcome.bodies.append(rest[:length])
        self._buffer = rest[length:]
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the server hung up"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


async def closed_loop(port: int, requests: list[bytes], connections: int) -> Outcome:
    """Send requests over so many connections, each with one under way at a time."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    shares = [requests[start::connections] for start in range(connections)]
    began = time.perf_counter()
    made = []
    for share in shares:
        make = partial(Connection, share, outcome)
        _, protocol = await loop.create_connection(make, "127.0.0.1", port)
        made.append(protocol)
    await asyncio.gather(*(protocol.done for protocol in made))
    outcome.seconds = time.perf_counter() - began
    return outcome


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
