"""What the plugin itself refuses in a network configuration."""

from pathlib import Path
from typing import Any

import pytest

from tests.cni.executable import Document, Plugin
from tests.cni.peer import Peer, granted


@pytest.mark.parametrize("version", ["0.3.2", "1.2.0", " ", "1", "2.0.0"])
def test_an_unknown_version_is_incompatible(plugin: Plugin, version: str) -> None:
    error = plugin.call("ADD", {**plugin.config(), "cniVersion": version}).error

    assert error["code"] == 1
    assert f'"{version}"' in error["msg"]
    assert "0.3.1, 0.4.0" in error["details"]


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_every_released_version_is_spoken(plugin: Plugin, peer: Peer, version: str) -> None:
    result = f'{{"cniVersion":"{version}","ip4":{{"ip":"10.0.0.2/24"}}}}'.encode()
    peer.will(granted(result))

    ended = plugin.call("ADD", {**plugin.config(), "cniVersion": version})

    assert (ended.code, ended.stdout) == (0, result)


@pytest.mark.parametrize("unversioned", [{}, {"cniVersion": ""}], ids=["absent", "empty"])
def test_no_version_means_the_first(plugin: Plugin, peer: Peer, unversioned: Document) -> None:
    peer.will(granted())
    config = plugin.config()
    del config["cniVersion"]
    config |= unversioned

    assert plugin.call("ADD", config).code == 0
    assert plugin.call("CHECK", config).error == {
        "cniVersion": "0.1.0",
        "code": 1,
        "msg": "config version does not allow CHECK",
    }


@pytest.mark.parametrize(
    ("verb", "version", "allowed"),
    [
        ("CHECK", "0.3.1", False),
        ("CHECK", "0.4.0", True),
        ("GC", "1.0.0", False),
        ("GC", "1.1.0", True),
        ("STATUS", "1.0.0", False),
        ("STATUS", "1.1.0", True),
        ("DEL", "0.1.0", True),
    ],
)
def test_a_verb_comes_with_its_version(plugin: Plugin, verb: str, version: str, allowed: bool) -> None:
    ended = plugin.call(verb, {**plugin.config(), "cniVersion": version})

    if allowed:
        assert (ended.code, ended.stdout) == (0, b"")
    else:
        assert (ended.error["code"], ended.error["cniVersion"]) == (1, version)
        assert ended.error["msg"] == f"config version does not allow {verb}"


@pytest.mark.parametrize("name", [None, "", "-x", "a b", "pods\n", "\u00fc", 7, ["pods"]])
def test_a_network_has_a_name_of_the_usual_alphabet(plugin: Plugin, name: Any) -> None:
    config = {**plugin.config(), "name": name}

    error = plugin.call("ADD", config).error

    assert error["code"] == 7
    assert error["msg"].startswith("name: ")


def test_missing_parts_are_named(plugin: Plugin) -> None:
    for key in ("name", "ipam"):
        config = plugin.config()
        del config[key]

        assert plugin.call("ADD", config).error["msg"] == f"{key}: is missing"


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("endpoint", 8750, "8750"),
        ("endpoint", [], "[]"),
        ("endpoint", [7], "[7]"),
        ("endpoint", "127.0.0.1:8750", '"127.0.0.1:8750"'),
        ("endpoint", "ftp://127.0.0.1", '"ftp://127.0.0.1"'),
        ("endpoint", "http://", '"http://"'),
        ("endpoint", "http://127.0.0.1:0", "0"),
        ("endpoint", "http://127.0.0.1:65536", "65536"),
        ("endpoint", "http://127.0.0.1:8750?x", "?x"),
        ("endpoint", "http://user@127.0.0.1", "user@"),
        ("endpoint", "http://127.1", "127.1"),
        ("endpoint", "http://127.0.0.01", "127.0.0.01"),
        ("endpoint", "http://[::1%lo]", "%lo"),
        ("endpoint", "http://a b", "a b"),
        ("endpoint", "http://a\r\nx: y", "x: y"),
        ("endpoint", "http://\u00fc", "\u00fc"),
        ("endpoint", "unix://relative", "relative"),
        ("endpoint", "unix:///" + "x" * 107, "xxx"),
        ("endpoint", None, "null"),
        ("tokenFile", 1, "1"),
        ("tokenFile", "token", '"token"'),
        ("caFile", True, "true"),
        ("caFile", "", '""'),
        ("certFile", {}, "an object"),
        ("keyFile", "/a\0b", "/a"),
        ("node", 1, "1"),
        ("node", "", '""'),
        ("node", "a\nb", "a"),
        ("node", "x" * 254, "xxx"),
        ("cluster", None, "null"),
        ("cluster", "", '""'),
        ("timeout", "10", '"10"'),
        ("timeout", 0, "0"),
        ("timeout", -1, "-1"),
        ("timeout", 601, "601"),
        ("timeout", 1e400, "Infinity"),
        ("timeout", True, "true"),
        ("timeout", None, "null"),
        ("status", "always", '"always"'),
        ("status", ["service"], '["service"]'),
        ("stateDir", "relative", '"relative"'),
        ("stateDir", 5, "5"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(
    plugin: Plugin, peer: Peer, key: str, value: Any, shown: str
) -> None:
    config = plugin.config()
    config["ipam"][key] = value

    error = plugin.call("ADD", config).error

    if value == float("inf"):  # json writes what JSON does not have
        assert error["code"] == 6
    else:
        assert error["code"] == 7
        assert error["msg"].startswith(f"ipam.{key}: ")
        assert shown in error["msg"]
    assert peer.connections == 0


def test_a_section_that_is_none_is_named(plugin: Plugin) -> None:
    error = plugin.call("ADD", {**plugin.config(), "ipam": "ipamd-ipam"}).error

    assert error["msg"] == 'ipam: must be an object, not "ipamd-ipam"'


def test_a_number_too_large_for_any_timeout_is_refused(plugin: Plugin) -> None:
    config = b'{"cniVersion":"1.0.0","name":"pods","ipam":{"timeout":1e999}}'

    assert plugin.call("ADD", config).error["code"] == 7


def test_what_the_plugin_does_not_read_it_does_not_judge(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    config = plugin.config(pools={"not": "a list"}, routes=7, future="key")

    assert plugin.call("ADD", config).code == 0
    assert peer.requests[0].json["config"] == config


def test_tls_files_come_in_their_sets(plugin: Plugin) -> None:
    def message(**ipam: Any) -> str:
        error = plugin.call("ADD", plugin.config(**ipam)).error
        assert error["code"] == 7
        return str(error["msg"])

    assert message(endpoint="https://127.0.0.1").startswith("ipam.caFile: ")
    assert message(certFile="/c").startswith("ipam.keyFile: ")
    assert message(keyFile="/k").startswith("ipam.certFile: ")


def test_the_state_folder_is_made_when_something_must_be_kept(
    plugin: Plugin, peer: Peer, scratch: Path
) -> None:
    plugin.state = scratch / "not" / "yet" / "there"
    peer.close()

    assert plugin.call("DEL").code == 0
    assert len(plugin.waiting()) == 1
