"""What the plugin makes of what comes back, from ipamd, from a proxy, or from something broken."""

import json
import os
import signal
import time

import pytest

from tests.cni.executable import Plugin, finish
from tests.cni.peer import (
    RESULT,
    Peer,
    Step,
    deafness,
    dribble,
    error,
    flood,
    granted,
    hang_up,
    nobody,
    raw,
    refused,
    reply,
    reset,
    response,
    silence,
    unread,
    wait_until,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\n\r\n" + RESULT


def in_chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = [b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return CHUNKED + b"".join(chunks) + b"0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(granted(), id="at once"),
        pytest.param(dribble(response(200, RESULT)), id="byte by byte"),
        pytest.param(raw(in_chunks(RESULT, 7)), id="in chunks"),
        pytest.param(dribble(in_chunks(RESULT, 40)), id="in chunks, byte by byte"),
        pytest.param(raw(UNTIL_CLOSED), id="until the connection closes"),
        pytest.param(raw(b"HTTP/1.1 100 Continue\r\n\r\n" + response(200, RESULT)), id="after a 100"),
        pytest.param(raw(response(200, RESULT) + b"HTTP/1.1 200 OK\r\n\r\nmore"), id="with more behind it"),
        pytest.param(reply(200, b" \n" + RESULT + b"\n"), id="between white space"),
        pytest.param(reply(200, RESULT, "text/html"), id="of a wrong type"),
    ],
)
def test_a_result_is_printed_as_the_bytes_that_came(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step)

    ended = plugin.call("ADD")

    assert ended.code == 0
    assert ended.stdout.strip() == RESULT
    assert plugin.waiting() == []


@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC"])
@pytest.mark.parametrize(
    ("code", "status"), [(100, 409), (7, 400), (105, 403), (999, 500), (104, 409), (1, 200), (3, 404)]
)
def test_an_error_of_ipamds_is_printed_as_the_bytes_that_came(
    plugin: Plugin, peer: Peer, verb: str, code: int, status: int
) -> None:
    peer.will(refused(code, "because", status))

    ended = plugin.call(verb, {**plugin.config(), "cniVersion": "1.1.0"})

    assert ended.code == 1
    assert ended.stdout == error(code, "because")
    assert len(peer.requests) == 1
    assert plugin.waiting() == []


NO_ANSWERS = [
    pytest.param(reply(502, b"<html>Bad Gateway</html>", "text/html"), id="a proxy's page"),
    pytest.param(reply(200, b"<html>Welcome</html>", "text/html"), id="a portal's page"),
    pytest.param(reply(200, b"{}"), id="an empty object"),
    pytest.param(reply(200, b'{"cniVersion":"1.0.0"}'), id="a result without addresses"),
    pytest.param(reply(200, b'{"detail":"Not Found"}'), id="another service"),
    pytest.param(reply(200, RESULT[:-1]), id="half a result"),
    pytest.param(reply(200, b"[" + RESULT + b"]"), id="a list"),
    pytest.param(reply(404, b'{"code":"not_found","msg":"x"}'), id="an error with a text for a code"),
    pytest.param(reply(500, b'{"code":0,"msg":"x"}'), id="an error with code 0"),
    pytest.param(reply(500, b'{"code":true,"msg":"x"}'), id="an error with true for a code"),
    pytest.param(reply(500, b'{"code":7}'), id="an error without a message"),
    pytest.param(reply(302, RESULT), id="a redirect"),
    pytest.param(hang_up(), id="nothing"),
    pytest.param(reset(), id="a reset"),
    pytest.param(raw(b"\x00\x01garbage\r\n\r\n"), id="garbage"),
    pytest.param(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
    pytest.param(raw(b"HTTP/2 200 OK\r\n\r\n" + RESULT), id="another version"),
    pytest.param(raw(b"HTTP/1.1 2000 OK\r\n\r\n" + RESULT), id="no status"),
    pytest.param(raw(response(200, RESULT)[:-5]), id="cut off in the body"),
    pytest.param(raw(response(200, RESULT)[:30]), id="cut off in the head"),
    pytest.param(raw(in_chunks(RESULT, 7)[:-20]), id="cut off in a chunk"),
    pytest.param(raw(CHUNKED + b"-%x\r\n%s\r\n0\r\n\r\n" % (len(RESULT), RESULT)), id="a chunk of no size"),
    pytest.param(raw(CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n"), id="a chunk that is too long"),
    pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + RESULT), id="a negative length"),
    pytest.param(
        raw(response(200, RESULT).replace(b"content-length", b"content-length: 5\r\ncontent-length")),
        id="two lengths",
    ),
    pytest.param(raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\n" + RESULT), id="an endless head"),
    pytest.param(raw(UNTIL_CLOSED + b" " * (2 << 20)), id="an endless body"),
    pytest.param(
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + RESULT), id="an unknown encoding"
    ),
    pytest.param(reply(204), id="no content"),
]


@pytest.mark.parametrize("step", NO_ANSWERS)
def test_what_is_no_answer_of_ipamds_makes_an_add_try_again(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step, granted())

    ended = plugin.call("ADD")

    assert (ended.code, ended.stdout) == (0, RESULT)
    assert len(peer.requests) == 2
    assert plugin.waiting() == []


@pytest.mark.parametrize("verb", ["CHECK", "GC"])
@pytest.mark.parametrize("step", [*NO_ANSWERS[:-1], reply(503, error(11)), reply(200, RESULT)])
def test_other_verbs_leave_trying_again_to_the_runtime(
    plugin: Plugin, peer: Peer, verb: str, step: Step
) -> None:
    peer.will(step)

    error_object = plugin.call(verb, {**plugin.config(), "cniVersion": "1.1.0"}).error

    assert error_object["code"] == 11
    assert error_object["details"].startswith(peer.endpoint)
    assert len(peer.requests) == 1
    assert plugin.waiting() == []


def test_an_add_whose_last_try_has_no_time_still_tells_what_the_one_before_it_saw(
    plugin: Plugin, peer: Peer
) -> None:
    peer.will(reply(503, error(11, "the database is away")), silence())

    call = plugin.call("ADD", plugin.config(timeout=1))

    assert call.error["code"] == 11
    assert "the database is away" in call.error["details"], call
    assert "no answer in time" in call.error["details"], call


def test_add_tries_again_while_ipamd_says_503(plugin: Plugin, peer: Peer) -> None:
    peer.will(reply(503, error(11)), reply(503, b"<html>", "text/html"), reply(503), granted())

    assert plugin.call("ADD").stdout == RESULT
    assert len(peer.requests) == 4


def test_add_reaches_an_ipamd_that_comes_back_in_time(plugin: Plugin, peer: Peer) -> None:
    peer.will(reset(), reset(), reset(), granted())

    assert plugin.call("ADD").stdout == RESULT


def test_add_without_ipamd_ends_with_11_in_its_time(plugin: Plugin) -> None:
    ended = plugin.call("ADD", plugin.config(endpoint=nobody(), timeout=5))

    assert ended.error["code"] == 11
    assert "connection refused" in ended.error["details"]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(silence(), id="never answers"),
        pytest.param(deafness(), id="never reads"),
        pytest.param(dribble(response(200, b"x" * 1000), pause=0.05), id="answers a byte at a time"),
    ],
)
@pytest.mark.parametrize("verb", ["ADD", "CHECK", "DEL"])
def test_no_peer_holds_a_call_longer_than_its_timeout(
    plugin: Plugin, peer: Peer, verb: str, step: Step
) -> None:
    peer.will(step)

    ended = plugin.call(verb, plugin.config(timeout=0.6))  # the call itself is waited for 30 s

    if verb == "DEL":
        assert (ended.code, ended.stdout) == (0, b"")
        assert len(plugin.waiting()) == 1
    else:
        assert ended.error["code"] == 11
        assert "no answer in time" in ended.error["details"]


def test_a_large_request_to_a_peer_that_does_not_read_ends_in_time(plugin: Plugin, peer: Peer) -> None:
    peer.will(deafness())
    config = {**plugin.config(timeout=0.6), "cniVersion": "1.1.0", "padding": "x" * (4000 << 10)}

    assert plugin.call("GC", config).error["code"] == 11


def test_an_answer_to_a_request_that_is_not_read_is_heard(plugin: Plugin, peer: Peer) -> None:
    peer.will(unread(response(413, error(103, "too large"))))
    config = {**plugin.config(), "cniVersion": "1.1.0", "padding": "x" * (4000 << 10)}

    assert plugin.call("GC", config).stdout == error(103, "too large")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(flood(b"HTTP/1.1 100 Continue\r\n\r\n"), id="interim answers"),
        pytest.param(flood(b"1\r\n \r\n" * 1000, CHUNKED), id="chunks"),
        pytest.param(flood(b" " * 1000, UNTIL_CLOSED), id="a body"),
        pytest.param(flood(b"T: 1\r\n" * 1000, CHUNKED + b"0\r\n"), id="trailers"),
    ],
)
def test_an_endless_answer_is_none(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step)

    assert "answer too large" in plugin.call("CHECK").error["details"]
    assert plugin.call("ADD", plugin.config(timeout=0.5)).error["code"] == 11


def test_a_redirect_is_not_followed(plugin: Plugin, peer: Peer) -> None:
    moved = f"HTTP/1.1 307 Moved\r\nLocation: {peer.endpoint}/elsewhere\r\nContent-Length: 0\r\n\r\n"
    peer.will(raw(moved.encode()))

    assert plugin.call("CHECK").error["code"] == 11
    assert [one.path for one in peer.requests] == ["/v1/cni/check"]


def test_del_check_and_gc_print_nothing_when_ipamd_agrees(plugin: Plugin, peer: Peer) -> None:
    for verb in ("DEL", "CHECK", "GC"):
        ended = plugin.call(verb, {**plugin.config(), "cniVersion": "1.1.0"})

        assert (ended.code, ended.stdout, ended.stderr) == (0, b"", b"")


def test_stopping_and_going_on_does_not_disturb_a_call(plugin: Plugin, peer: Peer) -> None:
    peer.will(dribble(response(200, RESULT), pause=0.005))
    process = plugin.start("ADD")
    wait_until(lambda: len(peer.requests) == 1)
    for _ in range(3):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGCONT)

    assert finish(process).stdout == RESULT


def test_error_objects_are_json_whatever_they_quote(plugin: Plugin) -> None:
    endpoint = 'http://"\\\u0007\u00fc\U0001f600'

    message = plugin.call("ADD", plugin.config(endpoint=endpoint)).error["msg"]

    assert message.endswith(json.dumps(endpoint, ensure_ascii=False))
