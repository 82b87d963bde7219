"""The listeners of the agent: a Unix socket for plugins, and loopback for health and metrics."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from hosting.failure import SocketInUse, SocketUnusable
from hosting.serving import Listener, configuration
from hosting.sockets import tcp_socket, unix_socket
from node_agent.failure import CommandFailed, ExitCode

_LOOPBACK: Final = IPv4Address("127.0.0.1")
_BACKLOG: Final = 1024


def server(application: Any) -> Listener:
    """A server of one application."""
    return Listener(configuration(application, http="httptools", backlog=_BACKLOG))


@contextlib.contextmanager
def loopback(port: int) -> Iterator[socket.socket]:
    """A socket on 127.0.0.1. Raises CommandFailed if somebody else has the port."""
    with contextlib.ExitStack() as sockets:
        try:
            listener = sockets.enter_context(tcp_socket(_LOOPBACK, port))
        except OSError as error:
            raise CommandFailed(f"{error}; name another port with --port") from None
        yield listener


@contextlib.contextmanager
def unix(path: Path) -> Iterator[socket.socket]:
    """A Unix socket for root and the group `ipamd`, whose folder is created. Raises CommandFailed."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"the folder of --socket {path} cannot be created: {error.strerror}") from None
    with contextlib.ExitStack() as sockets:
        try:
            listener = sockets.enter_context(unix_socket(path))
        except SocketUnusable as error:
            raise CommandFailed(f"--socket: {error}", ExitCode.USAGE) from None
        except (SocketInUse, OSError) as error:
            raise CommandFailed(f"--socket: {error}") from None
        yield listener
