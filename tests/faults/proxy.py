"""A TCP proxy before ipamd that holds requests back, delivers them late, or loses them or their answers."""

import contextlib
import re
import socket
import threading
from enum import Enum, auto
from typing import Final

SECONDS: Final = 60.0
_PIECE: Final = 1 << 16


class Treatment(Enum):
    """What happens to a request."""

    THROUGH = auto()
    HELD = auto()  # until a test lets it through, whether or not its caller still waits
    LOST = auto()  # never arrives
    ANSWER_LOST = auto()  # is carried out, and nobody is told


class Request:
    """One request on its way."""

    def __init__(self, data: bytes, client: socket.socket, upstream: int) -> None:
        self.verb = data.split(b" ", 2)[1].decode().rpartition("/")[2]
        self._data = data
        self._client = client
        self._upstream = upstream

    def deliver(self) -> bytes:
        """Let ipamd carry it out, and keep its answer from the caller."""
        with socket.create_connection(("127.0.0.1", self._upstream), timeout=SECONDS) as connection:
            connection.sendall(self._data)
            pieces = []
            while piece := connection.recv(_PIECE):
                pieces.append(piece)
        return b"".join(pieces)

    def let_through(self) -> int:
        """Deliver it, and tell the caller if it is still there; the answer's HTTP status."""
        answer = self.deliver()
        with contextlib.suppress(OSError):
            self._client.sendall(answer)
        self.drop()
        return int(answer.split(b" ", 2)[1])

    def drop(self) -> None:
        """Close the caller's connection without another word."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()


class Proxy:
    """Listens on loopback before one ipamd; each verb has its treatment, at first all go through."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._treatments: dict[str, Treatment] = {}
        self._held: list[Request] = []
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def hold(self, verb: str) -> None:
        """From now on hold back requests of a verb; others go on as they did."""
        self._treat_verb(verb, Treatment.HELD)

    def lose(self, verb: str) -> None:
        """From now on let requests of a verb get lost."""
        self._treat_verb(verb, Treatment.LOST)

    def lose_answers(self, verb: str) -> None:
        """From now on let the answers to a verb get lost."""
        self._treat_verb(verb, Treatment.ANSWER_LOST)

    def let_through(self, verb: str) -> None:
        """From now on let requests of a verb through; those that are held stay so."""
        self._treat_verb(verb, Treatment.THROUGH)

    def _treat_verb(self, verb: str, treatment: Treatment) -> None:
        with self._changed:
            self._treatments[verb] = treatment

    def await_held(self, verb: str) -> Request:
        """Take out a request that is held back, or wait for one."""

        def first() -> Request | None:
            return next((request for request in self._held if request.verb == verb), None)

        with self._changed:
            assert self._changed.wait_for(first, SECONDS), f"no {verb} came"
            request = first()
            assert request is not None
            self._held.remove(request)
            return request

    def close(self) -> None:
        """Go away; what is held is dropped."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for request in self._held:
                request.drop()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(SECONDS)
        with contextlib.suppress(OSError):  # either side may go away at any moment
            self._treat(Request(_read_request(client), client, self._upstream))

    def _treat(self, request: Request) -> None:
        with self._changed:
            treatment = self._treatments.get(request.verb, Treatment.THROUGH)
            if treatment is Treatment.HELD:
                self._held.append(request)
                self._changed.notify_all()
        if treatment is Treatment.THROUGH:
            request.let_through()
        elif treatment is Treatment.ANSWER_LOST:
            request.deliver()
            request.drop()
        elif treatment is Treatment.LOST:
            request.drop()


def _read_request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(client)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        piece = _more(client)
        data += piece
        missing -= len(piece)
    return data


def _more(client: socket.socket) -> bytes:
    piece = client.recv(_PIECE)
    if not piece:
        raise ConnectionResetError
    return piece
