"""One name for several replicas, as a load balancer gives it: each connection goes to the next."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count

from tests.ports import free_port
from tests.service import IpamdProcess

PIECE = 65_536


class OneName:
    """An address whose connections are passed on in turn; one that does not answer is left out."""

    def __init__(self, replicas: Sequence[IpamdProcess]) -> None:
        self._replicas = replicas
        self._turn = count()
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                asking, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(asking,), daemon=True).start()

    def _serve(self, asking: socket.socket) -> None:
        for _ in self._replicas:
            replica = self._replicas[next(self._turn) % len(self._replicas)]
            with suppress(OSError):
                answering = socket.create_connection(("127.0.0.1", replica.port))
                threading.Thread(target=_pass_on, args=(asking, answering), daemon=True).start()
                _pass_on(answering, asking)
                return
        asking.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until either side ends; then both do."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def one_name(replicas: Sequence[IpamdProcess]) -> Iterator[OneName]:
    made = OneName(replicas)
    yield made
    made.close()
