"""The way between a replica and PostgreSQL, which can be cut: from then on both sides hear nothing."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.postgres import USER

PIECE: Final = 65536


class Relay:
    """A TCP port that leads to a server's Unix socket.

    While it is cut, what was said waits, as TCP keeps it for a way that may come back.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = str(upstream / ".s.PGSQL.5432")
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._listen, daemon=True).start()

    def url(self, database: str) -> str:
        """Where ipamd finds a database behind it."""
        return f"postgresql://{USER}@127.0.0.1:{self._listener.getsockname()[1]}/{database}"

    def cut(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        """Let through what waits, and all that comes."""
        self._whole.set()

    def close(self) -> None:
        """Take no more connections."""
        self.mend()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._upstream)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side may go away at any moment
            while piece := source.recv(PIECE):
                self._whole.wait()
                target.sendall(piece)
        self._whole.wait()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(upstream: Path) -> Iterator[Relay]:
    """Make one, until the block is left."""
    made = Relay(upstream)
    try:
        yield made
    finally:
        made.close()
