"""What the plugin makes of a runtime's variables and of stdin, before it asks anybody."""

import os
import socket
import subprocess
from contextlib import ExitStack

import pytest

from tests.cni.executable import Plugin, finish
from tests.cni.peer import Peer, granted

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
NEWEST = b'{"cniVersion":"1.1.0","name":"pods","ipam":{}}'


@pytest.mark.parametrize("command", [None, ""])
def test_a_person_who_runs_it_by_hand_is_told_what_it_is(plugin: Plugin, command: str | None) -> None:
    ended = plugin.call("", b"", CNI_COMMAND=command)

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"CNI IPAM plugin" in ended.stderr
    assert ", ".join(VERSIONS).encode() in ended.stderr


def test_an_unknown_verb_is_a_bad_environment(plugin: Plugin) -> None:
    assert plugin.call("ADDD").error["code"] == 4
    assert "add" in plugin.call("add").error["msg"]


@pytest.mark.parametrize(
    ("verb", "required"),
    [
        ("ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("DEL", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]),
        ("GC", ["CNI_PATH"]),
        ("STATUS", ["CNI_PATH"]),
    ],
)
def test_all_missing_variables_are_named_at_once(plugin: Plugin, verb: str, required: list[str]) -> None:
    nothing = dict.fromkeys(("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"))

    error = plugin.call(verb, NEWEST, **nothing).error

    assert error["code"] == 4
    assert error["msg"] == f"required env variables [{','.join(required)}] missing"


def test_an_empty_variable_is_a_missing_one(plugin: Plugin) -> None:
    error = plugin.call("ADD", CNI_NETNS="", CNI_IFNAME="").error

    assert error["msg"] == "required env variables [CNI_NETNS,CNI_IFNAME] missing"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CNI_CONTAINERID", "-begins-with-a-dash"),
        ("CNI_CONTAINERID", "with space"),
        ("CNI_CONTAINERID", "ends-with-a-newline\n"),
        ("CNI_CONTAINERID", "digit-of-another-script-\u0663"),
        ("CNI_CONTAINERID", "../../etc"),
        ("CNI_IFNAME", "."),
        ("CNI_IFNAME", ".."),
        ("CNI_IFNAME", "sixteencharacter"),
        ("CNI_IFNAME", "\u00e4" * 8),
        ("CNI_IFNAME", "a/b"),
        ("CNI_IFNAME", "a:b"),
        ("CNI_IFNAME", "a b"),
        ("CNI_IFNAME", "eth0\n"),
        ("CNI_IFNAME", "eth\u20030"),
        ("CNI_ARGS", os.fsdecode(b"K=\xff")),
        ("CNI_NETNS", os.fsdecode(b"/run/netns/\xff")),
        ("CNI_PATH", os.fsdecode(b"/\xff")),
        ("CNI_CONTAINERID", os.fsdecode(b"\xff")),
    ],
)
def test_a_malformed_variable_is_named(plugin: Plugin, peer: Peer, variable: str, value: str) -> None:
    error = plugin.call("ADD", None, **{variable: value}).error

    assert error["code"] == 4
    assert variable in error["msg"]
    assert peer.connections == 0


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (b"IgnoreUnknown=1;META=\xff;K8S_POD_NAME=web", "IgnoreUnknown=1;K8S_POD_NAME=web"),
        (b"META=a\xe9;IgnoreUnknown=true", "IgnoreUnknown=true"),
        (b"K8S_POD_NAME=web;\xff=1;IgnoreUnknown=TRUE", "K8S_POD_NAME=web;IgnoreUnknown=TRUE"),
        (b"META=" + b"x" * 100_000 + b";IgnoreUnknown=1", None),
        (b"META=a\tb\nc;IgnoreUnknown=1", None),
    ],
)
def test_arguments_that_nobody_reads_are_nobodys_concern(
    plugin: Plugin, peer: Peer, args: bytes, sent: str | None
) -> None:
    peer.will(granted())

    assert plugin.call("ADD", CNI_ARGS=os.fsdecode(args)).code == 0
    assert peer.requests[0].json["args"] == (args.decode() if sent is None else sent)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (b"K8S_POD_NAME=\xff;IgnoreUnknown=1", "CNI_ARGS is not UTF-8 in K8S_POD_NAME"),
        (b"IP=\xff;IgnoreUnknown=1", "CNI_ARGS is not UTF-8 in IP"),
        (b"META=\xff", "CNI_ARGS is not UTF-8 in META"),
        (b"META=\xff;IgnoreUnknown=0", "CNI_ARGS is not UTF-8 in META"),
        (b"IgnoreUnknown=\xff", "CNI_ARGS is not UTF-8 in IgnoreUnknown"),
    ],
)
def test_arguments_that_are_read_or_unknown_must_be_text(
    plugin: Plugin, peer: Peer, args: bytes, named: str
) -> None:
    error = plugin.call("ADD", CNI_ARGS=os.fsdecode(args)).error

    assert (error["code"], error["msg"]) == (4, named)
    assert peer.connections == 0


def test_a_release_needs_neither_arguments_nor_namespace(plugin: Plugin, peer: Peer) -> None:
    ended = plugin.call("DEL", CNI_ARGS=os.fsdecode(b"\xff"), CNI_NETNS=os.fsdecode(b"/\xff"))

    assert ended.code == 0
    assert (peer.requests[0].json["args"], peer.requests[0].json["netns"]) == ("", "")


def test_missing_and_malformed_variables_are_named_together(plugin: Plugin) -> None:
    message = plugin.call("ADD", CNI_NETNS=None, CNI_IFNAME="a/b", CNI_CONTAINERID="?").error["msg"]

    assert "[CNI_NETNS] missing" in message
    assert "CNI_IFNAME has '/'" in message
    assert "CNI_CONTAINERID must begin with" in message


def test_fifteen_bytes_are_an_interface_name(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())

    assert plugin.call("ADD", CNI_IFNAME="\u00e4" * 7 + "x").code == 0


def test_status_looks_at_no_variable_of_a_container(plugin: Plugin) -> None:
    config = {**plugin.config(), "cniVersion": "1.1.0"}

    assert plugin.call("STATUS", config, CNI_IFNAME="a/b", CNI_CONTAINERID="", CNI_NETNS="").code == 0


@pytest.mark.parametrize("given", ["1.1.0", "0.1.0", "17.0", 'quoted "\u00fcber"'])
def test_version_needs_no_other_variable_and_answers_in_any_version(plugin: Plugin, given: str) -> None:
    nothing = dict.fromkeys(
        ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "NODE_NAME")
    )

    ended = plugin.call("VERSION", {"cniVersion": given}, **nothing)

    assert ended.code == 0
    assert ended.json == {"cniVersion": given, "supportedVersions": VERSIONS}


def test_version_without_a_question_answers_in_the_newest(plugin: Plugin) -> None:
    assert plugin.call("VERSION", b"").json["cniVersion"] == "1.1.0"
    assert plugin.call("VERSION", b"{}").json["cniVersion"] == "0.1.0"
    assert plugin.call("VERSION", b"{").error["code"] == 6


@pytest.mark.parametrize(
    "stdin",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b'{"cniVersion":"1.0.0"',
        b'{"cniVersion":"1.0.0",}',
        b'{"cniVersion":"1.0.0"}}',
        b'{"cniVersion":"1.0.0"} {}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":[1 2]}',
        b'{"a":"\n"}',
        b'{"a":"\\q"}',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b'{"a":"\xff"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xf4\x90\x80\x80"}',
        b'\xef\xbb\xbf{"cniVersion":"1.0.0"}',
        b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}",
        b'{"a":1}\0',
    ],
)
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_what_is_not_one_json_object_cannot_be_decoded(plugin: Plugin, verb: str, stdin: bytes) -> None:
    error = plugin.call(verb, stdin).error

    assert error["code"] == 6
    assert error["cniVersion"] == "1.1.0"
    assert "byte" in error["details"]


def test_a_configuration_larger_than_ipamd_takes_is_refused_here(plugin: Plugin, peer: Peer) -> None:
    large = {**plugin.config(), "padding": "x" * (256 << 10)}

    error = plugin.call("ADD", large).error

    assert error["code"] == 103
    assert peer.connections == 0


def test_gc_may_name_twenty_thousand_attachments(plugin: Plugin, peer: Peer) -> None:
    attachments = [{"containerID": f"{number:064x}", "ifname": "eth0"} for number in range(20000)]
    config = {**plugin.config(timeout=25), "cniVersion": "1.1.0", "cni.dev/valid-attachments": attachments}

    assert plugin.call("GC", config).code == 0
    assert peer.requests[0].json["config"] == config
    assert plugin.call("GC", {**config, "padding": "x" * (4 << 20)}).error["code"] == 103


def test_a_runtime_that_never_ends_stdin_is_not_waited_for(plugin: Plugin) -> None:
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            plugin.command, env=plugin.environment("ADD"), stdin=reader, stdout=-1, stderr=-1
        )
        ended = finish(process)
    finally:
        os.close(reader)
        os.close(writer)

    assert ended.error["code"] == 5
    assert "stdin" in ended.error["msg"]


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_a_closed_stdin_is_an_error_and_no_socket_takes_its_place(plugin: Plugin, closed: str) -> None:
    plugin.before = ("sh", "-c", f'exec "$@" {closed}', "sh")

    ended = plugin.call("ADD", b"")

    assert ended.code == 1
    assert ended.stdout == b"" or ended.json["code"] == 5


def test_a_closed_stdout_never_becomes_the_connection(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    plugin.before = ("sh", "-c", 'exec "$@" >&-', "sh")

    ended = plugin.call("ADD")

    assert ended.code == 1
    assert b"stdout" in ended.stderr
    assert peer.requests[0].body.endswith(b"}")
    assert len(plugin.waiting()) == 0 or plugin.waiting()[0]["request"]["undo"]


def test_proxy_and_python_variables_of_the_host_mean_nothing(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    with ExitStack() as cleanup:
        decoy = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
        proxy = f"http://127.0.0.1:{decoy.getsockname()[1]}"

        ended = plugin.call(
            "ADD",
            http_proxy=proxy,
            HTTP_PROXY=proxy,
            ALL_PROXY=proxy,
            PYTHONPATH="/nowhere",
            PYTHONHOME="/nowhere",
        )

    assert ended.code == 0
    assert len(peer.requests) == 1
