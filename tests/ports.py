"""TCP ports on loopback, each of which one test process of the machine has, whichever checkout it runs in."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

PORTS: Final = range(20000, 32000)
"""Below those that the kernel gives to whoever connects: a service that starts again finds its port free."""

_LOCKS: Final = Path(tempfile.gettempdir()) / "ipamd-test-ports"
"""A file without bytes: who has locked its byte number N has port N, until the process ends."""


def free_port() -> int:
    """A port that nobody listens on, and that no other test gets while this process lives."""
    for port in random.sample(PORTS, len(PORTS)):
        if port not in _taken() and _lock(port) and _is_free(port):
            _taken().add(port)
            return port
    raise AssertionError(f"all ports from {PORTS.start} to {PORTS.stop - 1} are taken")


@cache
def _taken() -> set[int]:
    """The ports of this process: its locks do not keep itself out."""
    return set()


@cache
def _file() -> int:
    return os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
