"""What happens to links, addresses, routes, neighbours and packet filters, as a reason to look again."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from netlink import address, link, neighbour, route
from netlink.connection import NETFILTER, ROUTE
from netlink.message import Message, decode
from node_agent.pod_network.filters import TABLE
from veth_plugin.kernel.naming import ROUTE_PROTOCOL

_LINKS, _NEIGHBOURS, _ADDRESSES4, _ROUTES4, _ADDRESSES6, _ROUTES6 = 0x1, 0x4, 0x10, 0x40, 0x100, 0x400
_OF_ROUTING: Final = _LINKS | _NEIGHBOURS | _ADDRESSES4 | _ROUTES4 | _ADDRESSES6 | _ROUTES6
_OF_NFTABLES: Final = 1 << 6
_LARGEST: Final = 1 << 16
_MOST_AT_ONCE: Final = 256
_PROTOCOL_AT: Final = 5  # in the header of a route
_TABLE_NAME: Final = TABLE.name.encode() + b"\0"


class Events:
    """Listens in the network namespace of the process; calls `happened` on anything that may concern us."""

    def __init__(self, happened: Callable[[], None]) -> None:
        """OSError if the kernel gives no socket."""
        self._happened = happened
        self._sockets = [_listen(ROUTE, _OF_ROUTING), _listen(NETFILTER, _OF_NFTABLES)]
        self.tunnel: int | None = None
        """The index of the tunnel's device, whose neighbours alone concern us."""

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        for listening, concerns in zip(
            self._sockets, (self._concerns_routing, _concerns_filters), strict=True
        ):
            loop.add_reader(listening, self._receive, listening, concerns)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()

    def _receive(self, listening: socket.socket, concerns: Callable[[bytes], bool]) -> None:
        has_happened = False
        for _ in range(_MOST_AT_ONCE):
            try:
                data = listening.recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                has_happened = True  # more happened than the socket holds, so nobody knows what
                continue
            has_happened = has_happened or concerns(data)
        if has_happened:
            self._happened()

    def _concerns_routing(self, data: bytes) -> bool:
        return any(self._concerns(one) for one in decode(data))

    def _concerns(self, told: Message) -> bool:
        if told.kind in (neighbour.NEW, neighbour.DELETE):
            return int.from_bytes(told.body[4:8], "little") == self.tunnel
        if told.kind in (route.NEW, route.DELETE):
            return told.body[_PROTOCOL_AT] != ROUTE_PROTOCOL
        return told.kind in (link.NEW, link.DELETE, address.NEW, address.DELETE)


def _concerns_filters(data: bytes) -> bool:
    return _TABLE_NAME in data


def _listen(protocol: int, groups: int) -> socket.socket:
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    listening.setblocking(False)
    listening.bind((0, groups))
    return listening
