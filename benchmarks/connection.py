"""A TCP connection between two namespaces, both ends in this thread: what the path between them costs.

No scheduler stands between the ends: whoever sends runs the whole path, up to the other end's queue, before
`send` returns. So the thread's CPU time is the path's cost, also on a machine that has other things to do.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.inside import inside
from tests.network.namespace import Namespace

PORT: Final = 7
PIECE: Final = 1 << 16
SECONDS: Final = 30


class Connection:
    """Both ends of a connection; `source` is the client's address, as the server sees it."""

    def __init__(self, client: Namespace, server: Namespace, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(server), socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, PORT))
            listener.listen(1)
            with inside(client):
                self._client = socket.create_connection((address, PORT), SECONDS)
            listener.settimeout(SECONDS)
            self._server, (self.source, *_) = listener.accept()
        for end in (self._client, self._server):
            end.settimeout(SECONDS)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def round_trips(self, seconds: float) -> float:
        """Requests of one byte with an answer of one byte, for each second of CPU time."""
        ask, answer = self._client, self._server
        done, began = 0, time.thread_time()
        while (spent := time.thread_time() - began) < seconds:
            for _ in range(64):
                ask.send(b"?")
                answer.recv(1)
                answer.send(b"!")
                ask.recv(1)
            done += 64
        return done / spent

    def throughput(self, seconds: float) -> float:
        """Bytes from the client, for each second of CPU time."""
        piece, into = bytes(PIECE), bytearray(PIECE)
        done, began = 0, time.thread_time()
        while (spent := time.thread_time() - began) < seconds:
            for _ in range(16):
                self._client.sendall(piece)
                rest = PIECE
                while rest:
                    rest -= self._server.recv_into(into, rest)
            done += 16 * PIECE
        return done / spent

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._server.close()


def compared(
    connections: Sequence[Connection], slices: int, seconds: float
) -> Sequence[tuple[str, str, list[float], list[float]]]:
    """Measure two connections slice by slice in turn, and close them: measure, unit, figures of each."""
    trips: list[list[float]] = [[], []]
    speeds: list[list[float]] = [[], []]
    for _ in range(slices):
        for each, connection in enumerate(connections):
            trips[each].append(connection.round_trips(seconds) / 1000)
        for each, connection in enumerate(connections):
            speeds[each].append(connection.throughput(seconds) / 1e9)
    for connection in connections:
        connection.close()
    return [("round trips", "thousand/s", trips[0], trips[1]), ("throughput", "GB/s", speeds[0], speeds[1])]
