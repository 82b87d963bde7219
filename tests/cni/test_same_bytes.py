"""The plugin reads a configuration as service, explain and import do."""

import json
from typing import Any

import pytest

from tests.cni.executable import Plugin
from tests.cni.peer import Peer, granted, reply
from tests.same_bytes import CASES, NODE, SECTIONS, Case


def section(plugin: Plugin) -> str:
    return json.dumps({**plugin.config()["ipam"], **NODE})


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_plugin_reads_a_configuration_as_everybody_does(plugin: Plugin, peer: Peer, case: Case) -> None:
    peer.will(granted(), reply(204))
    stdin = case.data(section(plugin))

    ended = plugin.call("ADD", stdin)

    if case.version:
        assert ended.code == 0
        assert peer.requests[0].body.endswith(b',"config":' + stdin + b"}")
        assert (peer.requests[0].json["cluster"], peer.requests[0].json["node"]) == ("east", "n7")
        # Of a verb that it does not have, a version is told by the error object.
        other = plugin.call("GC", stdin)
        assert other.code == 0 or (other.error["code"], other.error["cniVersion"]) == (1, case.version)
        assert (other.code == 0) == (case.version == "1.1.0")
    else:
        assert ended.error["code"] == case.code
        assert peer.connections == 0


@pytest.mark.parametrize("version", ["", None])
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_an_empty_version_is_the_first(plugin: Plugin, peer: Peer, verb: str, version: str | None) -> None:
    peer.will(granted(b'{"cniVersion":"0.1.0","ip4":{"ip":"10.0.0.2/24"}}') if verb == "ADD" else granted())

    assert plugin.call(verb, {**plugin.config(), "cniVersion": version}).code == 0
    assert plugin.call("VERSION", {"cniVersion": version}).json["cniVersion"] == "0.1.0"


@pytest.mark.parametrize("wrong", SECTIONS, ids=json.dumps)
def test_the_plugin_refuses_in_an_ipam_object_what_the_service_refuses(
    plugin: Plugin, peer: Peer, wrong: dict[str, Any]
) -> None:
    config = plugin.config()
    config["ipam"].update(wrong)

    error = plugin.call("ADD", config).error

    assert error["code"] == 7
    assert error["msg"].startswith(f"ipam.{next(iter(wrong))}: ")
    assert peer.connections == 0
