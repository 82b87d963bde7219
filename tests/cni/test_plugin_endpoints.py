"""TCP, TLS and Unix sockets, names and lists of endpoints."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.cni.executable import Plugin, finish
from tests.cni.node import Node
from tests.cni.peer import RESULT, Peer, granted, nobody, refused, reply, silence, tcp_peer

NAME_SERVER = "127.9.8.7"  # an address of loopback that nobody else uses


@pytest.fixture
def tls_peer(authority: Authority) -> Iterator[Peer]:
    server = tcp_peer(authority.server_context())
    server.will(granted())
    yield server
    server.close()


def test_a_unix_socket_is_asked_as_localhost(plugin: Plugin, socket_peer: Peer) -> None:
    socket_peer.will(granted())

    assert plugin.call("ADD", plugin.config(endpoint=socket_peer.endpoint)).stdout == RESULT
    assert socket_peer.requests[0].headers["host"] == "localhost"
    assert socket_peer.requests[0].path == "/v1/cni/add"


def test_a_socket_whose_queue_is_full_is_waited_for(plugin: Plugin, scratch: Path) -> None:
    path = scratch / "full.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(path))
        listener.listen(0)
        other.connect(str(path))
        process = plugin.start("CHECK", plugin.config(endpoint=f"unix://{path}"))
        time.sleep(0.5)  # it meets the full queue; were it slower, there would be room and nothing to show
        listener.settimeout(20)
        listener.accept()[0].close()
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        ended = finish(process)

    assert (ended.code, ended.stdout) == (0, b"")


def test_ipv6_is_an_endpoint(plugin: Plugin) -> None:
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    server = Peer(listener, f"http://[::1]:{listener.getsockname()[1]}")
    server.will(granted())

    ended = plugin.call("ADD", plugin.config(endpoint=server.endpoint))
    server.close()

    assert ended.stdout == RESULT
    assert server.requests[0].headers["host"] == server.endpoint.removeprefix("http://")


def test_a_list_is_tried_in_order_until_one_answers(plugin: Plugin, peer: Peer, socket_peer: Peer) -> None:
    peer.will(granted())
    endpoints = [nobody(), "unix:///nowhere/ipamd.sock", socket_peer.endpoint, peer.endpoint]

    socket_peer.will(reply(502, b"<html>"))
    assert plugin.call("ADD", plugin.config(endpoint=endpoints)).stdout == RESULT
    socket_peer.will(refused(100))
    assert plugin.call("ADD", plugin.config(endpoint=endpoints)).error["code"] == 100

    assert len(peer.requests) == 1
    assert len(socket_peer.requests) == 2


def test_an_endpoint_that_hangs_leaves_time_for_the_next(
    plugin: Plugin, peer: Peer, socket_peer: Peer
) -> None:
    socket_peer.will(silence())
    peer.will(granted())

    ended = plugin.call("ADD", plugin.config(endpoint=[socket_peer.endpoint, peer.endpoint], timeout=1))

    assert ended.stdout == RESULT
    assert socket_peer.requests[0].json["timeout"] <= 0.5
    assert socket_peer.requests[0].json["issued"] == peer.requests[0].json["issued"]


def test_a_release_goes_to_the_whole_list_later_too(plugin: Plugin, peer: Peer) -> None:
    away = nobody()
    peer.will(reply(503))
    plugin.call("DEL", plugin.config(endpoint=[away, peer.endpoint]))
    peer.will(reply(204))

    plugin.call("CHECK")

    assert plugin.waiting() == []
    assert [one.path for one in peer.requests] == ["/v1/cni/del", "/v1/cni/check", "/v1/cni/del"]


def test_tls_is_spoken_with_a_server_that_proves_itself(
    plugin: Plugin, tls_peer: Peer, authority: Authority
) -> None:
    config = plugin.config(endpoint=tls_peer.endpoint, caFile=str(authority.ca), padding="x" * 100_000)

    assert plugin.call("ADD", config).stdout == RESULT
    assert tls_peer.requests[0].json["config"] == config


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(
    plugin: Plugin, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server_context()
    context.minimum_version = context.maximum_version = version
    server = tcp_peer(context)
    server.will(granted())

    ended = plugin.call("ADD", plugin.config(endpoint=server.endpoint, caFile=str(authority.ca)))
    server.close()

    assert ended.stdout == RESULT


def test_a_large_answer_comes_through_tls(plugin: Plugin, tls_peer: Peer, authority: Authority) -> None:
    large = RESULT[:-1] + b', "padding": "' + b"x" * 200_000 + b'"}'
    tls_peer.will(granted(large))

    ended = plugin.call("ADD", plugin.config(endpoint=tls_peer.endpoint, caFile=str(authority.ca)))

    assert ended.stdout == large


def test_a_server_of_another_authority_gets_no_request(
    plugin: Plugin, tls_peer: Peer, other_authority: Authority
) -> None:
    config = plugin.config(endpoint=tls_peer.endpoint, caFile=str(other_authority.ca), timeout=0.5)

    error = plugin.call("ADD", config).error

    assert error["code"] == 11
    assert tls_peer.endpoint in error["details"]
    assert tls_peer.requests == []
    assert plugin.waiting() == []


def test_a_server_by_another_name_gets_no_request(plugin: Plugin, other_authority: Authority) -> None:
    server = tcp_peer(other_authority.server_context())
    server.will(granted())

    config = plugin.config(endpoint=server.endpoint, caFile=str(other_authority.ca), timeout=0.5)
    error = plugin.call("ADD", config).error
    server.close()

    assert error["code"] == 11
    assert server.requests == []


def test_a_server_without_tls_gets_no_request(plugin: Plugin, peer: Peer, authority: Authority) -> None:
    endpoint = peer.endpoint.replace("http://", "https://")

    error = plugin.call("ADD", plugin.config(endpoint=endpoint, caFile=str(authority.ca), timeout=0.5)).error

    assert error["code"] == 11
    assert peer.requests == []


def test_a_node_proves_itself_by_its_certificate(plugin: Plugin, authority: Authority) -> None:
    server = tcp_peer(authority.server_context(wants_client=True))
    server.will(granted())
    config = plugin.config(endpoint=server.endpoint, caFile=str(authority.ca), timeout=1)

    without = plugin.call("ADD", config)
    config["ipam"] |= {"certFile": str(authority.node), "keyFile": str(authority.node_key)}
    proven = plugin.call("ADD", config)
    server.close()

    assert without.error["code"] == 11
    assert proven.stdout == RESULT
    assert len(server.requests) == 1


def test_files_that_hold_no_certificates_are_told(plugin: Plugin, tls_peer: Peer, scratch: Path) -> None:
    nonsense = scratch / "nonsense.pem"
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")

    config = plugin.config(endpoint=tls_peer.endpoint, caFile=str(nonsense), timeout=0.3)
    error = plugin.call("ADD", config).error

    assert error["code"] == 11
    assert tls_peer.requests == []


def test_a_silent_tls_server_holds_nobody_up(plugin: Plugin, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # never shakes hands
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        config = plugin.config(endpoint=endpoint, caFile=str(authority.ca), timeout=0.5)

        assert plugin.call("ADD", config).error["code"] == 11
    assert plugin.waiting() == []


class NameServer:
    """Answers what it is told to, over UDP, or nothing at all."""

    def __init__(self, addresses: dict[str, list[str]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAME_SERVER, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", (NAME_SERVER, 53))
        self._thread.join(20)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            if not query:
                return
            name, at = "", 12
            while query[at]:
                name += query[at + 1 : at + 1 + query[at]].decode() + "."
                at += 1 + query[at]
            self.asked.append(name)
            if name in self.addresses:
                self._socket.sendto(self._answer(query, self.addresses[name]), sender)

    def _answer(self, query: bytes, addresses: list[str]) -> bytes:
        records = [b"\xc0\x0c\0\5\0\1\0\0\0\0\0\4\1x\xc0\x0c"]  # an alias, as real servers send before
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            kind = b"\0\x1c" if ":" in address else b"\0\1"
            if kind == query[-4:-2]:
                data = socket.inet_pton(family, address)
                records.append(b"\xc0\x0c" + kind + b"\0\1\0\0\0\0" + len(data).to_bytes(2, "big") + data)
        code = b"\x81\x80" if addresses else b"\x81\x83"
        counts = b"\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0"
        return query[:2] + code + counts + query[12:] + b"".join(records)


@pytest.fixture
def name_server(node: Node) -> Iterator[NameServer]:
    """The only name server of the plugin's node."""
    (node.etc / "resolv.conf").write_text(
        f"# ours\nsearch example.test svc.test\nnameserver {NAME_SERVER}\noptions ndots:2\n"
    )
    server = NameServer({})
    yield server
    server.close()


def at(name: str, peer: Peer) -> str:
    return f"http://{name}:{peer.endpoint.rpartition(':')[2]}"


def test_a_name_is_found_in_the_hosts_file(plugin: Plugin, node: Node, peer: Peer) -> None:
    peer.will(granted())
    (node.etc / "hosts").write_text("192.0.2.9 other # ipamd.lan\n\t127.0.0.1\tx IPAMD.lan y\n")

    assert plugin.call("ADD", plugin.config(endpoint=at("ipamd.lan", peer))).stdout == RESULT
    assert peer.requests[0].headers["host"].startswith("ipamd.lan:")


def test_a_name_is_asked_for_in_the_search_list(plugin: Plugin, name_server: NameServer, peer: Peer) -> None:
    peer.will(granted())
    name_server.addresses = {"ipamd.example.test.": [], "ipamd.svc.test.": ["::1", "127.0.0.1"]}

    assert plugin.call("ADD", plugin.config(endpoint=at("ipamd", peer))).stdout == RESULT
    assert sorted(set(name_server.asked)) == ["ipamd.example.test.", "ipamd.svc.test."]


def test_every_address_of_a_name_is_tried(plugin: Plugin, name_server: NameServer, peer: Peer) -> None:
    peer.will(granted())
    name_server.addresses = {"a.b.test.": ["127.0.0.2", "127.0.0.1", "::1"]}

    assert plugin.call("ADD", plugin.config(endpoint=at("a.b.test", peer))).stdout == RESULT


def test_a_name_that_nobody_knows_is_told(plugin: Plugin, name_server: NameServer, peer: Peer) -> None:
    name_server.addresses = {
        "no.such.test.": [],
        "no.such.test.example.test.": [],
        "no.such.test.svc.test.": [],
    }

    error = plugin.call("ADD", plugin.config(endpoint=at("no.such.test", peer), timeout=0.5)).error

    assert error["code"] == 11
    assert "no address known for no.such.test" in error["details"]


def test_a_silent_name_server_holds_nobody_longer_than_the_timeout(
    plugin: Plugin, name_server: NameServer, peer: Peer
) -> None:
    error = plugin.call("ADD", plugin.config(endpoint=at("ipamd.lan.test", peer), timeout=0.7)).error

    assert error["code"] == 11
    assert "no name server answered" in error["details"]
    assert name_server.asked
    assert plugin.waiting() == []
