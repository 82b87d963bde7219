"""A server that does to the plugin what a test tells it, well or badly."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

SECONDS: Final = 60
RESULT: Final = b'{ "cniVersion": "1.0.0", "ips": [{"address": "10.9.0.7/24", "gateway": "10.9.0.1"}] }'


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass(frozen=True)
class Step:
    """What happens to one connection, after its request was read if `reads`."""

    act: Callable[[socket.socket, threading.Event], None]
    reads: bool = True


def reply(status: int, body: bytes = b"", content_type: str = "application/json") -> Step:
    """Answer properly."""
    return raw(response(status, body, content_type))


def response(status: int, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """Give the bytes of a proper answer."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {content_type}\r\n"
    if status != HTTPStatus.NO_CONTENT:
        head += f"content-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def granted(result: bytes = RESULT) -> Step:
    """Answer an ADD with addresses."""
    return reply(200, result)


def refused(code: int, msg: str = "no", status: int = 409) -> Step:
    """Answer with a CNI error object."""
    return reply(status, error(code, msg))


def error(code: int, msg: str = "no") -> bytes:
    """Give a CNI error object in bytes that a formatter would change."""
    return f'{{"cniVersion": "1.0.0",  "code": {code}, "msg": "{msg}"}}'.encode()


def raw(data: bytes) -> Step:
    """Send these bytes and close."""
    return Step(lambda connection, _: connection.sendall(data))


def dribble(data: bytes, pause: float = 0.0) -> Step:
    """Send byte by byte, each in a packet of its own."""

    def act(connection: socket.socket, ended: threading.Event) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            connection.sendall(bytes([byte]))
            if pause and ended.wait(pause):
                return

    return Step(act)


def flood(data: bytes, first: bytes = b"") -> Step:
    """Send the same bytes for ever, as fast as they are taken."""

    def act(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(first)
        while not ended.is_set():
            connection.sendall(data)

    return Step(act)


def silence() -> Step:
    """Read the request and never answer."""
    return Step(lambda _, ended: _wait(ended))


def deafness() -> Step:
    """Never even read the request."""
    return Step(lambda _, ended: _wait(ended), reads=False)


def hang_up() -> Step:
    """Read the request and close without a word."""
    return Step(lambda connection, _: None)


def reset() -> Step:
    """Read the request and break the connection off (RST)."""

    def act(connection: socket.socket, _: threading.Event) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return Step(act)


def unread(data: bytes) -> Step:
    """Answer at once, without reading the request, and leave the connection open."""

    def act(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(data)
        _wait(ended)

    return Step(act, reads=False)


def _wait(ended: threading.Event) -> None:
    ended.wait(SECONDS)


class Peer:
    """Listens, keeps the requests, and takes its steps one by one, the last one for ever."""

    def __init__(self, listener: socket.socket, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.connections = 0
        self._steps = [reply(204)]
        self._tls = tls
        self._listener = listener
        self._listener.settimeout(0.02)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def will(self, *steps: Step) -> None:
        """Say what happens to the next connections."""
        with self._lock:
            self._steps = list(steps)

    def close(self) -> None:
        """Go away: whoever waits is cut off, whoever comes is refused."""
        self._ended.set()
        with self._lock:
            self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:
                self.connections += 1
                step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
            thread = threading.Thread(target=self._serve, args=(connection, step), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, step: Step) -> None:
        connection.settimeout(SECONDS)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            if step.reads:
                request = _read(connection)
                with self._lock:
                    self.requests.append(request)
            step.act(connection, self._ended)
            if self._tls is not None and isinstance(connection, ssl.SSLSocket):
                connection.unwrap()
        except OSError:
            return  # the plugin went away, as it may
        finally:
            connection.close()


def _read(connection: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
    while len(body) < int(headers["content-length"]):
        body += _more(connection)
    return Request(line, headers, body)


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(1 << 16)
    if not piece:
        raise ConnectionResetError
    return piece


def tcp_peer(tls: ssl.SSLContext | None = None) -> Peer:
    """Listen on loopback, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "http" if tls is None else "https"
    return Peer(listener, f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", tls)


def unix_peer(path: Path) -> Peer:
    """Listen on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)
    return Peer(listener, f"unix://{path}")


def nobody() -> str:
    """Give an endpoint on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def wait_until(seen: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)
