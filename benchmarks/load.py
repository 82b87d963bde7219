"""A client that keeps many calls under way on connections that stay open, and checks what it was answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, NamedTuple, cast

import uvloop

CONFIG: Final = (
    b'{"cniVersion":"1.0.0","name":"pods","type":"bridge","ipam":{"type":"ipamd-ipam","pools":%s}}'
)
ADD: Final = (
    b'{"container_id":"%s","netns":"/run/netns/x","netns_id":[4,4026532000],"ifname":"eth0",'
    b'"args":"IgnoreUnknown=1;K8S_POD_NAMESPACE=ns-%d;K8S_POD_NAME=pod-%s;K8S_POD_UID=%s","path":"/opt/cni/bin",'
    b'"cluster":"default","node":"node-%d","issued":{"boot":"5afbf9ad-2078-45d6-888a-9b7fab4c0d3e","uptime_ns":%d,'
    b'"time":"2026-01-01T00:00:00Z"},"timeout":30,"config":%s}'
)
NODES: Final = 100
NAMESPACES: Final = 20
_UPTIME: Final = count(1_000_000)
HELLO: Final = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
HTTP_OK: Final = 200
CREATED: Final = 201
NO_CONTENT: Final = 204


class Pod(NamedTuple):
    """A container, and the number of its node."""

    container: bytes
    node: int


def pods(number: int, nodes: int = NODES) -> list[Pod]:
    """Pods that nobody has heard of, on so many nodes in turn."""
    return [Pod(os.urandom(32).hex().encode(), place % nodes) for place in range(number)]


def body(pod: Pod, *pools: str) -> bytes:
    """The body of an ADD or a DEL, issued later than those made before it; an address of each pool."""
    name, config = pod.container, CONFIG % json.dumps(pools).encode()
    return ADD % (name, pod.node % NAMESPACES, name[:10], name[:32], pod.node, next(_UPTIME), config)


def request(path: str, content: bytes, *, close: bool = False) -> bytes:
    """One HTTP/1.1 request."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    if close:
        head += "connection: close\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%s" % (len(content), content)


@dataclass
class Outcome:
    """What a load saw: answers by status, the bodies of the good ones, seconds for each call and for all.

    At a fixed rate a call's time begins when it was due, so that waiting for a connection counts.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def together(cls, outcomes: Iterable[Outcome]) -> Outcome:
        """Loads that ran one after the other, as if they had been one."""
        whole = cls()
        for each in outcomes:
            for status, number in each.statuses.items():
                whole.statuses[status] = whole.statuses.get(status, 0) + number
            whole.bodies += each.bodies
            whole.latencies += each.latencies
            whole.seconds += each.seconds
        return whole

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the calls was answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Connection(asyncio.Protocol):
    """Stays open, and has one request under way at a time; `answered` is called with status and body."""

    def __init__(self, answered: Callable[[Connection, int, bytes], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = _length(head) if found else 0
        if not found or len(rest) < length:
            return
        self._buffer = rest[length:]
        self._answered(self, int(head[9:12]), rest[:length])

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._answered(self, 0, b"")


class Load:
    """Sends requests over connections and keeps what came back."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.outcome = Outcome()
        self._unheard: set[Connection] = set()
        self._all_heard = asyncio.get_running_loop().create_future()
        self._requests = deque(requests)
        self._left = len(requests)
        self._began: dict[Connection, float] = {}
        self._due: deque[float] = deque()
        self._idle: deque[Connection] = deque()
        self._paced = False
        self.done = asyncio.get_running_loop().create_future()

    async def connect(self, port: int, connections: int) -> None:
        """Open connections, and have each answer once: to accept them is no part of what is measured."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, made = await loop.create_connection(lambda: Connection(self._answered), "127.0.0.1", port)
            self._idle.append(made)
        self._unheard.update(self._idle)
        for connection in self._idle:
            connection.send(HELLO)
        await self._all_heard

    async def run(self, rate: float | None) -> Outcome:
        """All at once where there is no rate; else each when it is due, on the first free connection."""
        connections = list(self._idle)
        began = time.perf_counter()
        if rate is None:
            while self._idle and self._requests:
                self._send(self._idle.popleft(), time.perf_counter())
        else:
            self._paced = True
            self._pace(began + number / rate for number in range(len(self._requests)))
        await self.done
        self.outcome.seconds = time.perf_counter() - began
        self._left = 0
        for connection in connections:
            connection.close()
        return self.outcome

    def _pace(self, dues: Iterator[float]) -> None:
        """Send each call when it is due. The kernel's timer tells: the loop's own are coarse.

        The load does not spin, for PostgreSQL and what writes to the disk share its core.
        """
        loop = asyncio.get_running_loop()
        due = next(dues)

        def send_due() -> None:
            nonlocal due
            while (early := due - time.perf_counter()) <= 0:
                if self._idle:
                    self._send(self._idle.popleft(), due)
                else:
                    self._due.append(due)
                following = next(dues, None)
                if following is None:
                    loop.remove_signal_handler(signal.SIGALRM)
                    return
                due = following
            signal.setitimer(signal.ITIMER_REAL, early)

        loop.add_signal_handler(signal.SIGALRM, send_due)
        send_due()

    def _send(self, connection: Connection, due: float) -> None:
        self._began[connection] = due
        connection.send(self._requests.popleft())

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        if self._left == 0:
            return
        if connection.lost:
            self._lost(connection)
            return
        if connection in self._unheard:
            self._unheard.remove(connection)
            if not self._unheard and not self._all_heard.done():
                self._all_heard.set_result(None)
            return
        self.outcome.latencies.append(time.perf_counter() - self._began.pop(connection))
        self.outcome.statuses[status] = self.outcome.statuses.get(status, 0) + 1
        if status == HTTP_OK:
            self.outcome.bodies.append(body)
        self._left -= 1
        if self._left == 0:
            self.done.set_result(None)
        elif self._paced and not self._due:
            self._idle.append(connection)
        elif self._requests:
            self._send(connection, self._due.popleft() if self._paced else time.perf_counter())

    def _lost(self, connection: Connection) -> None:
        """A server may close what waits; a call that was under way will have no answer."""
        waited_for = self.done if self._all_heard.done() else self._all_heard
        if (connection in self._began or connection in self._unheard) and not waited_for.done():
            waited_for.set_exception(ConnectionResetError("the server hung up"))
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)


def run(port: int, requests: Sequence[bytes], connections: int, rate: float | None = None) -> Outcome:
    """Send requests, at a rate or as fast as they are answered; returns when all are."""

    async def running() -> Outcome:
        load = Load(requests)
        await load.connect(port, min(connections, len(requests)))
        return await load.run(rate)

    gc.collect()
    gc.disable()  # a pause of this process would be counted as the server's
    try:
        outcome: Outcome = uvloop.run(running())
    finally:
        gc.enable()
    return outcome


def add(
    port: int,
    pools: Sequence[Sequence[str]],
    connections: int,
    *,
    to: Sequence[Pod] = (),
    rate: float | None = None,
) -> Outcome:
    """ADDs of pods, each with an address of each of its pools; new pods unless they are given.

    Raises unless each was granted, and no address came twice.
    """
    each = zip(to or pods(len(pools)), pools, strict=True)
    calls = [request("/v1/cni/add", body(pod, *own)) for pod, own in each]
    outcome = run(port, calls, connections, rate)
    assert outcome.statuses == {HTTP_OK: len(calls)}, (outcome.statuses, outcome.bodies[:1])
    check_answers(outcome, sum(map(len, pools)))
    return outcome


def delete(port: int, those: Sequence[Pod], connections: int) -> Outcome:
    """DELs of pods; raises unless each was answered by a yes."""
    outcome = run(port, [request("/v1/cni/del", body(pod)) for pod in those], connections)
    assert outcome.statuses == {NO_CONTENT: len(those)}, outcome.statuses
    return outcome


def create_pools(port: int, subnets: Mapping[str, str], **fields: Any) -> None:
    """Create pools by name and subnet, without cooldown; raises unless each was."""
    documents = [
        {"name": name, "subnet": subnet, "cooldown": 0, **fields} for name, subnet in subnets.items()
    ]
    outcome = run(port, [request("/v1/pools", json.dumps(each).encode()) for each in documents], 8)
    assert outcome.statuses == {CREATED: len(documents)}, outcome.statuses


def check_answers(outcome: Outcome, addresses: int) -> None:
    """Raises if an address came twice, or all answers together have not so many."""
    found = [entry["address"] for answer in outcome.bodies for entry in json.loads(answer)["ips"]]
    assert len(found) == addresses, "an answer has too few addresses"
    assert len(set(found)) == len(found), "an address came twice"


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
