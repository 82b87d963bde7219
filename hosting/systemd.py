"""The two protocols of systemd, in a few bytes: sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from hosting.failure import SocketUnusable

FIRST: Final = 3
"""The first descriptor that systemd passes."""


def inherited_socket(environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The Unix socket that systemd passes to this process, None if it passes none.

    Raises SocketUnusable if it passes anything else.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        raise SocketUnusable("systemd passes several sockets: configure one Unix socket")
    inherited = socket.socket(fileno=FIRST)
    os.set_inheritable(FIRST, False)
    listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if (inherited.family, inherited.type) != (socket.AF_UNIX, socket.SOCK_STREAM) or not listens:
        raise SocketUnusable("the socket from systemd is not a listening Unix socket: configure one")
    return inherited


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd a state such as `READY=1`. If systemd did not ask for it, do nothing."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as bell:
        bell.sendto(state.encode(), address)
