"""What the kernel tells unasked: that links, addresses and routes came, changed or went."""

from __future__ import annotations

from netlink import message
from netlink.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.shapes import Socket

LINKS, ADDRESSES_IPV4, ROUTES_IPV4, ADDRESSES_IPV6, ROUTES_IPV6 = 1, 5, 7, 9, 11
"""Groups that a listener may join (linux/rtnetlink.h)."""
NFTABLES = 7
"""The group of a netfilter socket that hears of tables, chains and rules (linux/netfilter/nfnetlink.h)."""

_SOL_NETLINK = 270
_JOIN, _ALL_NAMESPACES = 1, 8
_NOTHING_THERE, _LOST = 11, 105  # EAGAIN, ENOBUFS
_DATAGRAM = 65536


class Lost(Exception):
    """The kernel told more than there was room for: something is not known, and all is to be read again."""


class Events:
    """Hears what happens in the network namespace in which the socket was made, and bound.

    With `everywhere` also what happens in each namespace that has a number there, as those of containers
    have; that needs CAP_NET_BROADCAST. Raises OSError if the kernel refuses.
    """

    def __init__(self, socket: Socket, groups: tuple[int, ...], everywhere: bool = False) -> None:
        self._socket = socket
        if everywhere:
            socket.setsockopt(_SOL_NETLINK, _ALL_NAMESPACES, 1)
        for group in groups:
            socket.setsockopt(_SOL_NETLINK, _JOIN, group)

    def read(self) -> list[Message]:
        """Give what has happened since, at once. Raises Lost, Malformed or OSError."""
        found: list[Message] = []
        while True:
            try:
                data = self._socket.recv(_DATAGRAM)
            except OSError as error:
                if error.errno == _NOTHING_THERE:
                    return found
                if error.errno == _LOST:
                    raise Lost from error
                raise
            found += message.decode(data)

    def close(self) -> None:
        self._socket.close()
