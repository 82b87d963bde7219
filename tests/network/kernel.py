"""Connections to the kernel in a namespace other than the tests'."""

import ctypes
import os
import socket
import threading

from netlink.connection import FAMILY, KIND, Connection
from tests.network.namespace import Namespace

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def connect(namespace: Namespace, protocol: int) -> Connection:
    """A connection that asks the kernel in that namespace."""
    made = socket_in(namespace, FAMILY, KIND, protocol)
    made.setblocking(False)
    return Connection(made)


def socket_in(
    namespace: Namespace, family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0
) -> socket.socket:
    """A socket of that namespace."""
    made: list[socket.socket] = []

    def open_inside() -> None:
        file = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert _libc.setns(file, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(file)
        made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=open_inside)  # a namespace is a thread's own
    thread.start()
    thread.join()
    return made[0]
