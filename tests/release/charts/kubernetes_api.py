"""The API of a cluster as far as a watcher of nodes asks it: lists in pages, watches, and their versions."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cni.authority import Authority

TOKEN = "the account's token"
PAGE = 2
"""The server's own bound of a page: smaller than what is asked for."""


class KubernetesApi:
    """Nodes, each change of them with a version. What is older than `remembered` is forgotten."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.nodes: set[str] = set()
        self.version = 1000
        self.remembered = 0
        self.events: list[tuple[int, str, str]] = []
        self.cuts = 0
        self.lists = 0
        self.is_away = False
        self.forgets_by_event = False

    def add(self, *names: str) -> None:
        for name in names:
            self._happens("ADDED", name)
            self.nodes.add(name)

    def delete(self, name: str) -> None:
        self._happens("DELETED", name)
        self.nodes.discard(name)

    def _happens(self, kind: str, name: str) -> None:
        with self.lock:
            self.version += 1
            self.events.append((self.version, kind, name))
            self.lock.notify_all()

    def cut(self) -> None:
        """End all watches that are under way."""
        with self.lock:
            self.cuts += 1
            self.lock.notify_all()

    def forget(self) -> None:
        """Remember no version but the present one."""
        self.remembered = self.version

    def page(self, begin: int) -> dict[str, Any]:
        """A list from a place on."""
        with self.lock:
            names = sorted(self.nodes)
            rest = {"continue": str(begin + PAGE)} if begin + PAGE < len(names) else {}
            items = [{"metadata": {"name": name}} for name in names[begin : begin + PAGE]]
            return {"metadata": {"resourceVersion": str(self.version), **rest}, "items": items}

    def watched(self, version: int, seconds: float) -> Iterator[dict[str, Any]]:
        """The events after a version, until the watch is cut or its time is over."""
        ends, cuts = time.monotonic() + seconds, self.cuts
        while time.monotonic() < ends:
            with self.lock:
                later = [event for event in self.events if event[0] > version]
                if not later:
                    if self.cuts != cuts:
                        return
                    self.lock.wait(0.5)
            for version, kind, name in later:
                metadata = {"name": name, "resourceVersion": str(version)}
                yield {"type": kind, "object": {"kind": "PartialObjectMetadata", "metadata": metadata}}
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._answer(HTTPStatus.UNAUTHORIZED, {})
            elif api.is_away:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {})
            elif "watch" not in asked:
                api.lists += 1
                self._answer(HTTPStatus.OK, api.page(int(asked.get("continue", "0"))))
            elif int(asked["resourceVersion"]) >= api.remembered:
                self._stream(api.watched(int(asked["resourceVersion"]), float(asked["timeoutSeconds"])))
            elif api.forgets_by_event:
                self._stream(iter([{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]))
            else:
                self._answer(HTTPStatus.GONE, {"code": 410})

        def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, events: Iterator[dict[str, Any]]) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def log_request(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(api: KubernetesApi, authority: Authority) -> Iterator[int]:
    """Serve it over TLS on loopback; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    server.socket = authority.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        api.cut()
        server.shutdown()
        server.server_close()
