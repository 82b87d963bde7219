"""What ipamd gets to see of a call."""

import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import pytest

from cni_plugin import VERSION
from tests.cni.executable import Plugin
from tests.cni.peer import Peer, error, granted, hang_up, refused, reply

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("ADD", "/v1/cni/add"),
        ("DEL", "/v1/cni/del"),
        ("CHECK", "/v1/cni/check"),
        ("GC", "/v1/cni/gc"),
        ("STATUS", "/v1/cni/status"),
    ],
)
def test_each_verb_has_its_path(plugin: Plugin, peer: Peer, verb: str, path: str) -> None:
    peer.will(granted() if verb == "ADD" else reply(204))

    ended = plugin.call(verb, {**plugin.config(status="service"), "cniVersion": "1.1.0"})

    assert ended.code == 0
    assert [one.line for one in peer.requests] == [f"POST {path} HTTP/1.1"]


def test_an_endpoint_may_have_a_prefix(plugin: Plugin, peer: Peer) -> None:
    plugin.call("DEL", plugin.config(endpoint=f"{peer.endpoint}/of/a/proxy/"))

    assert peer.requests[0].path == "/of/a/proxy/v1/cni/del"


def test_a_request_says_what_it_is_and_closes_its_connection(plugin: Plugin, peer: Peer) -> None:
    plugin.call("DEL")

    assert peer.requests[0].headers == {
        "host": peer.endpoint.removeprefix("http://"),
        "user-agent": f"ipamd-ipam/{VERSION}",
        "content-type": "application/json",
        "content-length": str(len(peer.requests[0].body)),
        "connection": "close",
    }


def test_the_body_tells_the_call_the_node_and_the_configuration(
    plugin: Plugin, peer: Peer, scratch: Path
) -> None:
    namespace = scratch / "netns"
    namespace.touch()
    peer.will(granted())
    config = plugin.config(cluster="eu-1", node="node-b")

    plugin.call("ADD", config, CNI_NETNS=str(namespace), CNI_ARGS='K="\u00fc\\";IP=10.9.0.7')

    body = peer.requests[0].json
    issued, timeout = body.pop("issued"), body.pop("timeout")
    assert body == {
        "container_id": "c1",
        "netns": str(namespace),
        "netns_id": [namespace.stat().st_dev, namespace.stat().st_ino],
        "ifname": "eth0",
        "args": 'K="\u00fc\\";IP=10.9.0.7',
        "path": "/opt/cni/bin",
        "cluster": "eu-1",
        "node": "node-b",
        "spooled": 0,
        "config": config,
    }
    assert set(issued) == {"boot", "uptime_ns", "time"}
    assert 9 < timeout <= 10


def test_the_configuration_travels_as_the_bytes_that_came(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    stdin = json.dumps(plugin.config(), indent=3).encode()
    stdin = (
        b'\n {"future" : 1.50e+1, "future": "\\u00fc\\ud83d\\ude00\xc3\xbc",' + stdin.strip()[1:] + b"\r\n"
    )

    assert plugin.call("ADD", stdin).code == 0

    assert b',"config":' + stdin + b"}" in peer.requests[0].body


def test_issued_is_the_boot_its_nanoseconds_and_the_wall_clock(plugin: Plugin, peer: Peer) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    plugin.call("DEL")
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    issued = peer.requests[0].json["issued"]

    assert issued["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert before < issued["uptime_ns"] < after
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", issued["time"])


def test_every_try_of_an_add_has_the_same_issued_and_less_time(plugin: Plugin, peer: Peer) -> None:
    peer.will(hang_up(), reply(503, error(11)), reply(502, b"<html>"), granted())

    assert plugin.call("ADD").code == 0

    bodies = [one.json for one in peer.requests]
    times = [body.pop("timeout") for body in bodies]
    assert len(bodies) == 4
    assert all(body == bodies[0] for body in bodies)
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4


def test_a_namespace_that_is_gone_has_no_identity(plugin: Plugin, peer: Peer) -> None:
    plugin.call("DEL", CNI_NETNS="")
    plugin.call("DEL", CNI_NETNS="/run/netns/gone")

    assert [one.json["netns_id"] for one in peer.requests] == [None, None]
    assert [one.json["netns"] for one in peer.requests] == ["", "/run/netns/gone"]


def test_the_plugins_own_namespace_is_no_containers(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())

    error_object = plugin.call("ADD", CNI_NETNS="/proc/self/ns/net").error

    assert error_object["code"] == 8
    assert peer.connections == 0
    for override in ("1", "true", "TRUE"):
        assert plugin.call("ADD", CNI_NETNS="/proc/self/ns/net", CNI_NETNS_OVERRIDE=override).code == 0
    assert plugin.call("ADD", CNI_NETNS="/proc/self/ns/net", CNI_NETNS_OVERRIDE="no").code == 1


def test_a_release_in_the_plugins_own_namespace_goes_through(plugin: Plugin, peer: Peer) -> None:
    assert plugin.call("DEL", CNI_NETNS="/proc/self/ns/net").code == 0
    assert len(peer.requests) == 1


def test_the_node_is_the_configured_then_the_variables_then_the_files_then_the_hosts(
    plugin: Plugin, peer: Peer
) -> None:
    plugin.state.mkdir()
    (plugin.state / "node").write_text("from-the-file\n")

    plugin.call("DEL", plugin.config(node="configured"))
    plugin.call("DEL", NODE_NAME="from-the-variable")
    plugin.call("DEL", NODE_NAME="")
    (plugin.state / "node").unlink()
    plugin.call("DEL", NODE_NAME=None)

    names = [one.json["node"] for one in peer.requests]
    assert names == ["configured", "from-the-variable", "from-the-file", platform.node()]


@pytest.mark.parametrize(
    ("first", "then", "remark"),
    [
        ("host-001", "host-001.example.com", b"now says"),
        ("host-001.example.com", "host-001", b"now says"),
        ("host-001", "HOST-001", b""),
        ("host-001", "host-001", b""),
        ("host-001", None, b"now says"),
    ],
)
def test_a_node_keeps_the_name_of_its_first_add_and_says_so_where_the_hosts_differs(
    plugin: Plugin, peer: Peer, first: str, then: str | None, remark: bytes
) -> None:
    peer.will(granted(), granted(), reply(204))

    assert plugin.call("ADD", NODE_NAME=first).stderr == b""
    renamed = plugin.call("ADD", NODE_NAME=then)
    released = plugin.call("DEL", NODE_NAME=then)

    assert (plugin.state / "node").read_text() == f"{first}\n"
    assert [one.json["node"] for one in peer.requests] == [first] * 3
    for ended in (renamed, released):
        assert ended.code == 0
        assert (remark in ended.stderr) if remark else not ended.stderr
        assert ended.stderr.count(b"\n") == bool(remark)


def test_another_name_in_the_variable_is_meant(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted(), granted(), reply(204))

    plugin.call("ADD", NODE_NAME="node-a")
    plugin.call("ADD", NODE_NAME="node-b")
    plugin.call("DEL", NODE_NAME="node-b")

    assert [one.json["node"] for one in peer.requests] == ["node-a", "node-b", "node-b"]


def test_a_name_is_kept_only_of_an_add_that_succeeded_and_found_it(plugin: Plugin, peer: Peer) -> None:
    peer.will(refused(100), reply(204), granted())

    plugin.call("ADD")
    plugin.call("DEL")
    plugin.call("ADD", plugin.config(node="told"))

    assert not (plugin.state / "node").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"a\0b", b"\xff", b"two\nlines", b"x" * 300])
def test_a_file_that_holds_no_nodes_name_is_named(plugin: Plugin, content: bytes) -> None:
    plugin.state.mkdir()
    (plugin.state / "node").write_bytes(content)

    error_object = plugin.call("ADD", NODE_NAME=None).error

    assert error_object["code"] == 7
    assert f"{plugin.state}/node" in error_object["msg"]


def test_a_node_name_that_is_not_utf8_is_a_bad_environment(plugin: Plugin) -> None:
    assert plugin.call("ADD", NODE_NAME=os.fsdecode(b"\xff")).error["code"] == 4


def test_tracing_goes_along(plugin: Plugin, peer: Peer) -> None:
    plugin.call("DEL", TRACEPARENT=TRACEPARENT, TRACESTATE="a=1,b=2", BAGGAGE="user=\u00fc")

    headers = peer.requests[0].headers
    assert headers["traceparent"] == TRACEPARENT
    assert headers["tracestate"] == "a=1,b=2"
    assert headers["baggage"] == "user=\u00fc"


@pytest.mark.parametrize(
    "value", ["a\r\nx-evil: 1", "a\nb", "a\tb", "a\x7f", "a\u0085b", os.fsdecode(b"\xff")]
)
def test_tracing_that_could_be_another_header_is_dropped(plugin: Plugin, peer: Peer, value: str) -> None:
    assert plugin.call("DEL", TRACEPARENT=value, BAGGAGE="user=1").code == 0

    assert "traceparent" not in peer.requests[0].headers
    assert "x-evil" not in peer.requests[0].headers
    assert peer.requests[0].headers["baggage"] == "user=1"


def test_the_installed_command_is_the_same_program(plugin: Plugin, peer: Peer) -> None:
    plugin.command = (str(Path(sys.executable).parent / "ipamd-ipam"),)
    peer.will(granted())

    assert plugin.call("ADD").code == 0
