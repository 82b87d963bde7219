"""What a connection may do: several requests in one go, and no waiting for ever."""

import json
import select
import socket
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess
from tests.waiting import eventually

PATIENCE = 60


def post(body: dict[str, Any], path: str = "/v1/cni/add", headers: str = "", version: str = "1.1") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(content), content)


def connected(service: IpamdProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)


def until_closed(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_calls_sent_in_one_go_are_answered_in_their_order(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    asked = [post(call("c0")), post(call("c1")), post(call("c2"), headers="Connection: close\r\n")]
    between = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    with connected(ipamd_process) as connection:
        connection.sendall(
            asked[0] + between + asked[1] + asked[2].replace(b"Host", b"Connection: close\r\nHost")
        )
        answers = until_closed(connection)

    first, health, second, third = (part for part in answers.split(b"HTTP/1.1 200 OK\r\n") if part)
    assert [b"10.0.0.%d/24" % number in part for number, part in ((2, first), (3, second), (4, third))] == [
        True
    ] * 3
    assert b"connection: close" not in first + health + second
    assert b"connection: close" in third


def test_a_caller_of_http_1_0_is_answered_and_let_go(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")

    with connected(ipamd_process) as connection:
        connection.sendall(post(call(), version="1.0"))
        answer = until_closed(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"10.0.0.2/24" in answer


def test_a_body_that_waits_to_be_asked_for_is_asked_for(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    request = post(call(), headers="Expect: 100-continue\r\nConnection: close\r\n")
    head, _, body = request.partition(b"\r\n\r\n")

    with connected(ipamd_process) as connection:
        connection.sendall(head + b"\r\n\r\n")
        asked_for = connection.recv(4096)
        connection.sendall(body)
        answer = until_closed(connection)

    assert asked_for == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_body_that_is_announced_too_large_is_not_asked_for(ipamd_process: IpamdProcess) -> None:
    head = b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

    with connected(ipamd_process) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":103' in answer


def test_a_call_in_small_pieces_is_put_together(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    request = post(call(), headers="Connection: close\r\n")

    with connected(ipamd_process) as connection:
        for start in range(0, len(request), 40):
            connection.sendall(request[start : start + 40])
        answer = until_closed(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_head_that_does_not_end_is_cut_off(ipamd_process: IpamdProcess) -> None:
    with connected(ipamd_process) as connection:
        connection.sendall(b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        answer = until_closed(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too-slow"' in answer


def test_a_body_that_does_not_end_is_cut_off(ipamd_process: IpamdProcess) -> None:
    with connected(ipamd_process) as connection:
        connection.sendall(post(call())[:-1])
        answer = until_closed(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert ipamd_process.http.get("/v1/allocations").json()["items"] == []


def drown(connection: socket.socket) -> bytes:
    """Send the same byte until there is an answer."""
    for _ in range(1000):
        connection.sendall(b"x" * 1000)
        if select.select([connection], [], [], 0.005)[0]:
            return connection.recv(65536)
    raise AssertionError("it reads on and on")


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("target", ["http://127.0.0.1/v1/cni/add", "/v1/cni/%61dd", "/v1/cni/add?x=1"])
def test_a_call_is_known_however_its_target_is_written(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, target: str
) -> None:
    body = call(f"by-{len(target)}", ipam={"pools": [new_pool()["name"]]})

    with connected(lasting_ipamd) as connection:
        connection.sendall(post(body, target, headers="Connection: close\r\n"))
        answer = until_closed(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_wish_for_another_protocol_is_ignored(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, protocol: str
) -> None:
    body = call(protocol, ipam={"pools": [new_pool()["name"]]})
    wish = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n"

    with connected(lasting_ipamd) as connection:
        connection.sendall(post(body, headers=wish) + HEALTH)
        answers = until_closed(connection)

    given, health = answers.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b'"ips"' in given
    assert b"alive" in health


NO_REQUESTS = {
    "bytes": b"\0\1\2\3\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "folded": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n more\r\n\r\n",
    "two lengths": post({}).replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
    "call with two hosts": post({}, headers="Host: pods.example\r\n"),
    "negative length": post({}).replace(b"Content-Length: 2", b"Content-Length: -2"),
    "chunk": post({}).replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "target": b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


@pytest.mark.parametrize("no_request", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_a_problem_in_its_place(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, no_request: bytes
) -> None:
    """A call before it is carried out, and its answer comes first."""
    pool = new_pool()["name"]
    before = post(call(pool, ipam={"pools": [pool]}))

    with connected(lasting_ipamd) as connection:
        connection.sendall(before + no_request)
        given, problem = until_closed(connection).split(b"HTTP/1.1 ")[1:]

    assert given.startswith(b"200 ")
    assert problem.startswith(b"400 ")
    assert json.loads(problem.partition(b"\r\n\r\n")[2])["code"] == "no-request"
    assert len(lasting_ipamd.allocations(pool=pool)) == 1


@pytest.mark.parametrize(
    "head",
    [b"GET /healthz HTTP/1.1\r\nX: ", b"GET /", b"GET /healthz HTTP/1.1\r\nA: b\r\nX: "],
    ids=["header", "target", "second header"],
)
def test_a_head_beyond_the_limit_is_431(lasting_ipamd: IpamdProcess, head: bytes) -> None:
    with connected(lasting_ipamd) as connection:
        connection.sendall(head)
        answer = drown(connection)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"head-too-large" in answer


def test_the_head_of_a_body_in_pieces_has_a_limit_too(lasting_ipamd: IpamdProcess) -> None:
    chunked = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;"
    with connected(lasting_ipamd) as connection:
        connection.sendall(b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\n" + chunked)
        answer = drown(connection)

    assert answer.startswith(b"HTTP/1.1 431 ")


def test_an_answer_has_the_date_of_its_own_second(lasting_ipamd: IpamdProcess) -> None:
    for _ in range(2):
        before = int(time.time())
        dated = parsedate_to_datetime(lasting_ipamd.http.get("/healthz").headers["date"]).timestamp()
        assert before <= dated <= time.time()
        time.sleep(1.1)


def test_a_service_that_nobody_calls_sleeps(lasting_ipamd: IpamdProcess) -> None:
    """It looks at its files and its database about once a second; uvicorn alone would wake it ten times more.

    Where threads wait for each other, one look counts more than once.
    """
    lasting_ipamd.http.get("/healthz")

    eventually(lambda: times_woken_in_a_second(lasting_ipamd) < 12)


def times_woken_in_a_second(service: IpamdProcess) -> int:
    before = times_woken(service)
    time.sleep(1)
    return times_woken(service) - before


def times_woken(service: IpamdProcess) -> int:
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
