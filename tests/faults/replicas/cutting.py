"""What stands between ipamd and PostgreSQL, and loses the answers to commits."""

import contextlib
import socket
import threading
from pathlib import Path

SECONDS = 60.0
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as the driver sends it: one simple query
PIECE = 65536


class Cutter:
    """A server's Unix socket in another folder. Of the answers to commits it loses as many as it is told.

    The connection is cut when the server has answered and before the client has heard it.
    """

    def __init__(self, folder: Path, upstream: Path) -> None:
        self.cuts = 0
        self._going = False
        self._every: int | None = None
        self._commits = 0
        self._upstream = str(upstream / ".s.PGSQL.5432")
        self._counting = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._listen, daemon=True).start()

    def lose_every(self, count: int) -> None:
        """From now on lose the answer to one commit of so many."""
        self._every = count

    def lose_none(self) -> None:
        """From now on lose nothing."""
        self._every = None

    def lose_and_go(self) -> None:
        """Lose the answer to the next commit, and take no connection from then on."""
        self._going = True

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._upstream)
            losing = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, losing), daemon=True).start()
            threading.Thread(target=self._backward, args=(server, client, losing), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(PIECE):
                if COMMIT in piece and self._is_to_be_lost():
                    losing.set()
                server.sendall(piece)
        _close(server)

    def _backward(self, server: socket.socket, client: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(PIECE):
                if losing.is_set():
                    assert b"COMMIT" in piece
                    self.cuts += 1
                    if self._going:
                        self.close()
                    break
                client.sendall(piece)
        _close(client)
        _close(server)

    def _is_to_be_lost(self) -> bool:
        with self._counting:
            self._commits += 1
            return self._going or (self._every is not None and self._commits % self._every == 0)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
