"""Pages that stay open: each follows one live view, and takes what it is sent."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from benchmarks.page_views import LIVE

PIECE: Final = 1 << 16
SECONDS: Final = 60


@contextmanager
def open_pages(port: int) -> Iterator[None]:
    """Follow each live view; returns when each has been sent once, and raises if one was lost."""
    sockets = [_follow(port, view) for view in LIVE]
    sent = [_first(each) for each in sockets]
    assert all(b"event: rows" in each for each in sent), [each[:200] for each in sent]
    ending, lost = threading.Event(), []

    def read() -> None:
        with selectors.DefaultSelector() as selector:
            for each in sockets:
                selector.register(each, selectors.EVENT_READ)
            while not ending.is_set():
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    if not key.fileobj.recv(PIECE):
                        lost.append(key.fileobj)
                        selector.unregister(key.fileobj)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        ending.set()
        reader.join()
        for each in sockets:
            each.close()
    assert not lost, "a live page was closed by ipamd"


def _follow(port: int, view: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), SECONDS)
    made.sendall(f"GET /ui/live?of={quote(view, safe='')} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return made


def _first(following: socket.socket) -> bytes:
    """What comes until the first view begins."""
    text = b""
    while b"event: rows" not in text:
        piece = following.recv(PIECE)
        if not piece:
            break
        text += piece
    return text
