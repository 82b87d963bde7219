"""How the IPAM plugin of a configuration is asked, whoever wrote it, and what becomes of what it says."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.executable import MainPlugin
from tests.veth.ipam import ANSWER, NAME, ThirdParty

Document = dict[str, Any]

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
BOTH_FAMILIES = {
    "cniVersion": "1.0.0",
    "ips": [
        {"address": "10.5.0.7/24", "gateway": "10.5.0.1"},
        {"address": "fd05::7/64", "gateway": "fd05::1"},
    ],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    "dns": {"nameservers": ["10.5.0.53"]},
}


@pytest.fixture(autouse=True)
def ipam_plugin(third_party: ThirdParty) -> ThirdParty:
    return third_party


def links(namespace: Namespace) -> set[str]:
    return {line.split(": ")[1] for line in namespace.run("ip", "-o", "link", "show").splitlines()}


def test_it_gets_the_bytes_of_stdin_and_the_environment_and_may_talk_to_people(
    plugin: MainPlugin, third_party: ThirdParty
) -> None:
    config = json.dumps(plugin.config(args={"cni": {}}), indent=3).encode() + b"\n\n"
    variables = {"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web-0", "TRACEPARENT": "00-1-2-03", "ELSE": "kept"}

    ended = plugin.call("ADD", config, **variables)

    assert ended.code == 0, ended
    assert third_party.stdin("ADD") == config
    seen = third_party.environment("ADD")
    expected = {**plugin.container, **variables, "CNI_COMMAND": "ADD", "CNI_PATH": str(plugin.folder)}
    assert {key: seen[key] for key in expected} == expected
    assert b"a word of ADD for people" in ended.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_its_answer_comes_out_in_the_version_that_was_asked_for(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, version: str
) -> None:
    third_party.answers("ADD", BOTH_FAMILIES)

    result = plugin.add(plugin.config(cniVersion=version))

    assert result["cniVersion"] == version
    assert result["dns"] == {"nameservers": ["10.5.0.53"]}
    if version in ("0.1.0", "0.2.0"):
        told = {result["ip4"]["ip"], result["ip6"]["ip"]}
    else:
        told = {entry["address"] for entry in result["ips"]}
        inside = result["interfaces"][result["ips"][0]["interface"]]
        assert (inside["name"], inside["sandbox"]) == ("eth0", str(container.path))
    assert told == container.addresses("eth0")


def test_the_networks_own_dns_counts_before_the_ipam_plugins(
    plugin: MainPlugin, third_party: ThirdParty
) -> None:
    third_party.answers("ADD", BOTH_FAMILIES)

    result = plugin.add(plugin.config(dns={"nameservers": ["10.9.9.9"], "search": ["example"]}))

    assert result["dns"] == {"nameservers": ["10.9.9.9"], "search": ["example"]}


def test_what_it_refuses_is_told_as_it_said_it_and_it_is_called_again_with_del(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, container: Namespace
) -> None:
    before = links(node), links(container)
    error = {"cniVersion": "1.0.0", "code": 117, "msg": "no address left", "details": "of 10.5.0.0/24"}
    third_party.answers("ADD", error, fails=True)

    assert plugin.call("ADD").error == error
    assert third_party.calls == ["ADD", "DEL"]
    assert third_party.stdin("DEL") == third_party.stdin("ADD")
    assert third_party.environment("DEL")["CNI_COMMAND"] == "DEL"
    assert (links(node), links(container)) == before


@pytest.mark.parametrize(
    ("answer", "fails", "code", "said"),
    [
        pytest.param(b"panic: oh", True, 999, "third-party ended with status 1", id="no error object"),
        pytest.param(b"", True, 999, "third-party ended with status 1", id="nothing at all"),
        pytest.param(b'{"code": "5", "msg": "x"}', True, 999, "no error object", id="a code that is none"),
        pytest.param(b"", False, 6, "not a JSON object", id="an empty answer"),
        pytest.param(b'{"cniVersion": "1.0.0"', False, 6, "not a JSON object", id="cut off"),
        pytest.param(b'{"cniVersion": "9.0.0", "ips": []}', False, 6, '"9.0.0"', id="another version"),
        pytest.param(b'{"cniVersion": "1.0.0", "ips": []}', False, 7, "gave no address", id="no address"),
        pytest.param(
            b'{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.7"}]}',
            False,
            6,
            '"10.5.0.7"',
            id="no prefix",
        ),
        pytest.param(b"x" * (2 << 20), False, 11, "more than 1048576 bytes", id="without end"),
    ],
)
def test_an_answer_that_is_none_leaves_nothing_behind(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    container: Namespace,
    answer: bytes,
    fails: bool,
    code: int,
    said: str,
) -> None:
    before = links(node), links(container)
    third_party.answers("ADD", answer, fails=fails)

    error = plugin.call("ADD").error

    assert (error["code"], said in error["msg"]) == (code, True), error
    assert third_party.calls == ["ADD", "DEL"]
    assert links(container) == before[1]
    assert {name for name in links(node) - before[0] if "@" in name} == set()


def test_one_that_dies_of_a_signal_is_told(plugin: MainPlugin, third_party: ThirdParty) -> None:
    third_party.runs("ADD", "kill -9 $$\n")

    assert plugin.call("ADD").error["msg"] == f"{NAME} was ended by signal 9 and gave no error object"


def test_one_that_leaves_a_child_behind_keeps_nobody_waiting(
    plugin: MainPlugin, third_party: ThirdParty
) -> None:
    third_party.runs("ADD", "sleep 20 2> /dev/null &\n")
    begin = time.monotonic()

    plugin.add()

    assert time.monotonic() - begin < 10


def test_one_that_cannot_be_run_is_named(plugin: MainPlugin) -> None:
    (plugin.folder / "no-program").write_bytes(b"\x7fELF")
    (plugin.folder / "no-program").chmod(0o755)

    error = plugin.call("ADD", plugin.config(ipam={"type": "no-program"})).error

    assert error["code"] == 5
    assert str(plugin.folder / "no-program") in error["msg"]


def test_every_verb_is_handed_on(plugin: MainPlugin, third_party: ThirdParty) -> None:
    newest = plugin.config(cniVersion="1.1.0")
    result = plugin.add(newest)
    living = {"cni.dev/valid-attachments": [{"containerID": "web", "ifname": "eth0"}]}
    calls = [
        ("CHECK", plugin.config(cniVersion="1.1.0", prevResult=result)),
        ("STATUS", newest),
        ("GC", plugin.config(cniVersion="1.1.0", **living)),
        ("DEL", newest),
        ("DEL", newest),
    ]
    for verb, config in calls:
        ended = plugin.call(verb, config)
        assert (ended.code, ended.stdout) == (0, b""), ended

    assert third_party.calls == ["ADD", "CHECK", "STATUS", "GC", "DEL", "DEL"]


@pytest.mark.parametrize("verb", ["CHECK", "STATUS", "GC", "DEL"])
def test_its_refusal_of_every_verb_is_ours(plugin: MainPlugin, third_party: ThirdParty, verb: str) -> None:
    result = plugin.add(plugin.config(cniVersion="1.1.0"))
    third_party.answers(verb, {"cniVersion": "1.1.0", "code": 50, "msg": "the disk is full"}, fails=True)
    living = [{"containerID": "web", "ifname": "eth0"}]

    more = {"prevResult": result, "cni.dev/valid-attachments": living}
    error = plugin.call(verb, plugin.config(cniVersion="1.1.0", **more)).error

    assert (error["code"], error["msg"]) == (50, "the disk is full")


def test_addresses_are_free_only_when_the_interface_is_gone(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, scratch: Path
) -> None:
    plugin.add()
    third_party.runs("DEL", f"ip -o link show > {scratch}/links\n")

    plugin.call("DEL")

    assert "@" not in (scratch / "links").read_text()


def test_a_repeated_add_fails_before_anybody_is_asked(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    plugin.add()
    before = container.addresses("eth0")

    error = plugin.call("ADD").error

    assert "eth0" in error["msg"]
    assert third_party.calls == ["ADD"]
    assert container.addresses("eth0") == before != set()


def test_where_no_interface_can_be_made_nobody_is_asked(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    container.run("ip", "link", "add", "eth0", "type", "bridge")

    assert "eth0" in plugin.call("ADD").error["msg"]
    assert third_party.calls == []
    assert container.has_interface("eth0")


def test_what_was_taken_is_given_back_where_the_interface_cannot_be_set_up(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    impossible = {**ANSWER, "routes": [{"dst": "10.9.0.0/16", "gw": "fd00::1"}]}
    third_party.answers("ADD", impossible)

    assert plugin.call("ADD").error["code"] == 7
    assert third_party.calls == ["ADD", "DEL"]
    assert not container.has_interface("eth0")


def test_what_the_runtime_does_not_hear_of_is_taken_away(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    ended = plugin.call("ADD", plugin.config(cniVersion="0.2.0"))
    assert ended.code == 0
    plugin.call("DEL")
    third_party.answers(
        "ADD", {"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.7/24"}, {"address": "10.5.0.8/24"}]}
    )

    error = plugin.call("ADD", plugin.config(cniVersion="0.2.0")).error

    assert (error["code"], "one IPv4 address at most" in error["msg"]) == (7, True)
    assert third_party.calls == ["ADD", "DEL", "ADD", "DEL"]
    assert not container.has_interface("eth0")


def test_two_containers_of_one_namespace_name_have_host_sides_of_their_own(
    plugin: MainPlugin, third_party: ThirdParty, make_namespace: MakeNamespace
) -> None:
    other = make_namespace("other")
    first = plugin.add()
    third_party.answers("ADD", {**ANSWER, "ips": [{"address": "10.5.0.8/24", "gateway": "10.5.0.1"}]})
    second = plugin.add(CNI_CONTAINERID="api", CNI_NETNS=str(other.path))

    names = [result["interfaces"][-2]["name"] for result in (first, second)]
    assert len(set(names)) == 2
