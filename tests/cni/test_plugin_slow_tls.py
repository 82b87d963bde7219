"""TLS over a connection that brings one byte at a time, which TCP may do at any place of a record."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from tests.cni.authority import Authority
from tests.cni.executable import Plugin
from tests.cni.peer import RESULT, SECONDS, Peer, dribble, granted, response, tcp_peer

BOTH_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Dripper:
    """Stands before a server on loopback and hands on what it says byte by byte, with a pause after each."""

    def __init__(self, server: Peer, pause: float) -> None:
        self._upstream = int(server.endpoint.rpartition(":")[2])
        self._pause = pause
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.02)
        self.endpoint = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(SECONDS)
        self._listener.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.create_connection(("127.0.0.1", self._upstream), SECONDS)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for copy in (self._drip, self._hand_on):
                thread = threading.Thread(target=copy, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _drip(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):  # whoever goes away ends it
            while piece := server.recv(1 << 16):
                for byte in piece:
                    client.sendall(bytes([byte]))
                    if self._ended.wait(self._pause):
                        return

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 16):
                server.sendall(piece)
        with contextlib.suppress(OSError):  # also where the plugin broke the connection off
            server.shutdown(socket.SHUT_WR)


@pytest.fixture(params=BOTH_VERSIONS, ids=["1.2", "1.3"])
def server(authority: Authority, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """A server that speaks one version of TLS."""
    context = authority.server_context()
    context.minimum_version = context.maximum_version = request.param
    made = tcp_peer(context)
    made.will(granted())
    yield made
    made.close()


def test_a_handshake_and_an_answer_may_come_byte_by_byte(
    plugin: Plugin, server: Peer, authority: Authority
) -> None:
    slow = Dripper(server, 0.0)

    ended = plugin.call("ADD", plugin.config(endpoint=slow.endpoint, caFile=str(authority.ca)))
    slow.close()

    assert ended.stdout == RESULT


def test_a_handshake_that_trickles_in_holds_no_call_longer_than_its_timeout(
    plugin: Plugin, server: Peer, authority: Authority
) -> None:
    slow = Dripper(server, 0.05)

    ended = plugin.call("ADD", plugin.config(endpoint=slow.endpoint, caFile=str(authority.ca), timeout=0.6))
    slow.close()

    assert ended.error["code"] == 11
    assert "no answer in time" in ended.error["details"]
    assert server.requests == []
    assert plugin.waiting() == []


def test_an_answer_that_trickles_through_tls_holds_no_call_longer_than_its_timeout(
    plugin: Plugin, server: Peer, authority: Authority
) -> None:
    server.will(dribble(response(200, b"x" * 1000), pause=0.05))

    ended = plugin.call("ADD", plugin.config(endpoint=server.endpoint, caFile=str(authority.ca), timeout=0.6))

    assert ended.error["code"] == 11
    assert "no answer in time" in ended.error["details"]
    assert plugin.waiting()[0]["request"]["undo"]
