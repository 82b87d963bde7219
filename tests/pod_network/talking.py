"""Connections between namespaces: sockets of this process that live there."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.network.namespace import Namespace
from tests.pod_network.inside import inside

PORT = 8080
_SECONDS = 5
_TRIES = 3


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def echo(namespace: Namespace, address: str, port: int = PORT) -> Iterator[list[str]]:
    """Send back what comes to an address by TCP and UDP; the list grows by whom each came from."""
    family = _family(address)
    stream = inside(namespace, lambda: socket.create_server((address, port), family=family))
    datagram = inside(namespace, lambda: socket.socket(family, socket.SOCK_DGRAM))
    datagram.bind((address, port))
    callers: list[str] = []
    threads = [
        threading.Thread(target=_serve_streams, args=(stream, callers), daemon=True),
        threading.Thread(target=_serve_datagrams, args=(datagram, callers), daemon=True),
    ]
    for each in threads:
        each.start()
    try:
        yield callers
    finally:
        for listening in (stream, datagram):
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()


def connect(namespace: Namespace, address: str, port: int = PORT, source: str = "") -> socket.socket:
    """A connection from a namespace; OSError where none comes about in time."""
    made = inside(namespace, lambda: socket.socket(_family(address), socket.SOCK_STREAM))
    made.settimeout(_SECONDS)
    try:
        if source:
            made.bind((source, 0))
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def exchange(connection: socket.socket, size: int) -> bool:
    """Whether so many bytes come back over a connection."""
    data = bytes(range(256)) * (size // 256)
    sending = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
    sending.start()
    came = b""
    while len(came) < len(data):
        piece = connection.recv(1 << 16)
        if not piece:
            return False
        came += piece
    sending.join()
    return came == data


def talks(namespace: Namespace, address: str, port: int = PORT, source: str = "") -> bool:
    """Whether a megabyte goes to an address and back by TCP, and a datagram by UDP."""
    try:
        with connect(namespace, address, port, source) as connection:
            return exchange(connection, 1 << 20) and _asks(namespace, address, port)
    except OSError:
        return False


def _asks(namespace: Namespace, address: str, port: int) -> bool:
    with inside(namespace, lambda: socket.socket(_family(address), socket.SOCK_DGRAM)) as asking:
        asking.settimeout(1)
        for _ in range(_TRIES):
            asking.sendto(b"x" * 1000, (address, port))
            with contextlib.suppress(TimeoutError):
                return asking.recv(2000) == b"x" * 1000
    return False


def _serve_streams(listening: socket.socket, callers: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, (caller, *_) = listening.accept()
            callers.append(caller)
            threading.Thread(target=_send_back, args=(connection,), daemon=True).start()


def _send_back(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def _serve_datagrams(listening: socket.socket, callers: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            data, caller = listening.recvfrom(1 << 16)
            if caller is None:  # it is shut down
                return
            callers.append(caller[0])
            listening.sendto(data, caller)
