"""Whatever bytes come to the listener, its connections end, none gets a 500, and others are served."""

import json
import re
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.api.plugin_call import call
from tests.faults.fuzz.conftest import Target
from tests.faults.fuzz.strange import nearly

PATIENCE = 60
QUIET_SECONDS = 0.03

BODY = json.dumps(call(ipam={"pools": ["pods"]})).encode()
TARGETS = (
    "/v1/cni/add",
    "/v1/cni/gc",
    "/v1/pools",
    "/healthz",
    "/openapi.json",
    "http://127.0.0.1/v1/cni/add",
    "*",
    "/%00",
    "//v1/pools",
    "/v1/cni/%61dd",
    "/v1/pools/%ff",
    "http://[/",
    "?x",
    "/v1/cni/add#x",
    "/v1/../healthz",
    "127.0.0.1:1",
)
HEADERS = (
    "Host: 127.0.0.1",
    "Host: localhost",
    "Host: evil",
    "Content-Type: application/json",
    "Content-Type: text/plain",
    f"Content-Length: {len(BODY)}",
    "Content-Length: 0",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: x",
    "Expect: 100-continue",
    "Connection: close",
    "Connection: keep-alive, Upgrade",
    "Upgrade: h2c",
    "Upgrade: websocket",
    "Authorization: Bearer ipamd_",
    "Authorization: Basic x",
    "X: " + "y" * 70_000,
    "Trailer: X",
    " folded",
    "No colon",
    "Idempotency-Key: \xff",
    'If-Match: W/"1"',
    "traceparent: 00-0-0-00",
    ": empty",
)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@some.composite
def requests(draw: some.DrawFn) -> bytes:
    """A request, right or not, of parts that mean something."""
    method = draw(
        some.sampled_from(
            [
                "GET",
                "POST",
                "POST",
                "POST",
                "PUT",
                "DELETE",
                "HEAD",
                "OPTIONS",
                "CONNECT",
                "TRACE",
                "PRI",
                "get",
            ]
        )
    )
    version = draw(
        some.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "ICE/1.0"])
    )
    lines = [f"{method} {draw(some.sampled_from(TARGETS))} {version}"]
    lines += draw(some.lists(some.sampled_from(HEADERS), max_size=6))
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + draw(some.sampled_from((b"", BODY, CHUNKED, b"zz\r\n", b"0\r\nX: y\r\n\r\n")))


RIGHT = (
    b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


def answers(target: Target, sent: list[bytes]) -> bytes:
    """All that comes back on one connection, until its other end closes it."""
    received = b""
    with socket.create_connection(("127.0.0.1", target.service.port), timeout=QUIET_SECONDS) as connection:
        try:
            for piece in sent:
                connection.sendall(piece)
            while True:
                piece = connection.recv(1 << 16)
                if not piece:
                    return received
                received += piece
        except TimeoutError:
            pass  # it waits for more
        except OSError:
            return received  # it has closed already
        connection.settimeout(PATIENCE)
        try:
            connection.shutdown(socket.SHUT_WR)
            return received + b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except ConnectionError:
            return received


@given(
    sent=some.lists(
        some.just(RIGHT) | nearly(RIGHT) | requests() | some.binary(max_size=60), min_size=1, max_size=4
    )
)
@settings(max_examples=80, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_connection_ends_whatever_comes_and_others_are_served(target: Target, sent: list[bytes]) -> None:
    received = answers(target, sent)

    assert b"500" not in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)
    assert target.service.http.get("/healthz").is_success
    held = target.service.allocations(container_id="c1")
    assert len(held) <= 1  # however often it was asked for
