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
    made: list[socket.socket] = []

    def open_inside() -> None:
        file = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert _libc.setns(file, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(file)
        made.append(socket.socket(FAMILY, KIND, protocol))

    thread = threading.Thread(target=open_inside)  # a namespace is a thread's own
    thread.start()
    thread.join()
    made[0].setblocking(False)
    return Connection(made[0])
