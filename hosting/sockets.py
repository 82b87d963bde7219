"""Sockets to listen on: TCP, and a Unix socket whose file is removed with its process."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import stat
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import structlog

from hosting.failure import SocketInUse, SocketUnusable

GROUP: Final = "ipamd"
MODE: Final = 0o660
LONGEST_PATH: Final = 107
"""Bytes of a path in `sockaddr_un` (unix(7)), without the NUL at its end."""

_PROBE_SECONDS: Final = 1.0

log = structlog.get_logger()


@contextlib.contextmanager
def tcp_socket(address: IPv4Address | IPv6Address, port: int) -> Iterator[socket.socket]:
    """A TCP socket. Raises OSError with a sentence."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((str(address), port))
        except OSError as error:
            raise OSError(f"cannot listen on {address} port {port}: {error.strerror}") from None
        yield listener


@contextlib.contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """A Unix socket for root and the group `ipamd`. Its file is removed when it is closed.

    Raises SocketUnusable, SocketInUse, and OSError with a sentence.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketUnusable(
            f"{path} is longer than {LONGEST_PATH} bytes, the limit for a socket: name a shorter path"
        )
    _make_way(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # The mask counts while the file is made: at no moment may others connect.
        before = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise OSError(f"cannot listen on {path}: {error.strerror}") from None
        finally:
            os.umask(before)
        _give_to_group(path)
        made = path.stat()
        try:
            yield listener
        finally:
            with contextlib.suppress(FileNotFoundError):
                now = path.stat()
                if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
                    path.unlink()


def _make_way(path: Path) -> None:
    """Remove the socket of a killed process. Raises if the file is anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketUnusable(f"{path} exists and is not a socket: remove it, or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody listens there, and is busy
    raise SocketInUse(f"another process listens on {path}: end it, or name another path")


def _give_to_group(path: Path) -> None:
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return
    try:
        os.chown(path, -1, group)
    except PermissionError:
        log.warning("the group of the socket was not changed", uds=str(path), wanted=GROUP)
