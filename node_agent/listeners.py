"""The agent's listeners: the plugins' Unix socket, and loopback for health and metrics."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn

from node_agent.failure import ExitCode, Failure

GRACE: Final = 15
GROUP: Final = "ipamd"
MODE: Final = 0o660
_LONGEST_PATH: Final = 107  # of sockaddr_un (unix(7)), less the NUL
_PROBE_SECONDS: Final = 1.0
_BACKLOG: Final = 1024


class Server(uvicorn.Server):
    """One listener. Signals are its owner's business: several listeners end together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def server(application: Any) -> Server:
    """A server without what it would do beside serving one application."""
    return Server(
        uvicorn.Config(
            application,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            backlog=_BACKLOG,
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
    )


@contextlib.contextmanager
def loopback(port: int) -> Iterator[socket.socket]:
    """A socket on 127.0.0.1; raises Failure where somebody has the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(
                f"cannot listen on 127.0.0.1 port {port}: {error.strerror}; name another with --port"
            ) from None
        yield listener


@contextlib.contextmanager
def unix(path: Path) -> Iterator[socket.socket]:
    """A Unix socket for root and the group `ipamd`; its file goes with it. Raises Failure."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise Failure(
            f"--socket {path} is longer than the {_LONGEST_PATH} bytes of a socket's path", ExitCode.USAGE
        )
    _make_way(path)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder of --socket {path} cannot be made: {error.strerror}") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # The mask counts while the file is made: at no moment may others connect.
        before = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise Failure(f"cannot listen on {path}: {error.strerror}") from None
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
    """Remove the socket that a killed agent left behind; raises Failure for anything else."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISSOCK(mode):
        raise Failure(f"--socket {path} is there already and is no socket", ExitCode.USAGE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody listens there, and is busy
    raise Failure(f"another agent listens on {path}: end it, or name another path with --socket")


def _give_to_group(path: Path) -> None:
    with contextlib.suppress(KeyError, PermissionError):  # no such group, or not root: it stays with its own
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
