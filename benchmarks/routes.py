"""When the kernels of some namespaces have a route, by what they announce of it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final, Self

from benchmarks.inside import inside
from netlink import route
from netlink.connection import ROUTE
from netlink.message import decode
from tests.network.namespace import Namespace

SECONDS: Final = 60
_ROUTES_OF_IPV4: Final = 0x40
_LARGEST: Final = 1 << 16


class Routes:
    """Listens in namespaces while it is open."""

    def __init__(self, namespaces: Sequence[Namespace]) -> None:
        self._sockets = [_listening(each) for each in namespaces]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    async def seconds_until_all_have(self, block: IPv4Network, since: float) -> float:
        """Seconds since a moment of `perf_counter` until a route to a block is new in all kernels."""
        threads = [asyncio.to_thread(_wait, each, block) for each in self._sockets]
        return max(await asyncio.gather(*threads)) - since


def _listening(namespace: Namespace) -> socket.socket:
    with inside(namespace):
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ROUTE)
        made.bind((0, _ROUTES_OF_IPV4))
    made.settimeout(SECONDS)
    return made


def _wait(listening: socket.socket, block: IPv4Network) -> float:
    while True:
        data = listening.recv(_LARGEST)
        at = time.perf_counter()
        for told in decode(data):
            if told.kind == route.NEW and route.decode(told).destination == block.network_address.packed:
                return at
