"""DEL succeeds, and no release is lost."""

import json
import stat
from pathlib import Path

import pytest

from tests.cni.executable import Plugin
from tests.cni.node import Node
from tests.cni.peer import (
    RESULT,
    Peer,
    Step,
    error,
    hang_up,
    nobody,
    refused,
    reply,
    reset,
    silence,
)


def test_del_succeeds_while_ipamd_is_down(plugin: Plugin) -> None:
    config = plugin.config(endpoint=nobody())

    ended = plugin.call("DEL", config)

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"connection refused" in ended.stderr
    [entry] = plugin.waiting()
    assert entry["endpoint"] == [config["ipam"]["endpoint"]]
    assert entry["request"]["container_id"] == "c1"
    assert entry["request"]["config"] == config
    assert "undo" not in entry["request"]
    assert set(entry["request"]["issued"]) == {"boot", "uptime_ns", "time"}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(reply(503, error(11)), id="503"),
        pytest.param(reply(502, b"<html>", "text/html"), id="a proxy's page"),
        pytest.param(reply(200, RESULT), id="the answer to another question"),
        pytest.param(reply(200, b""), id="200 of somebody"),
        pytest.param(refused(105, status=401), id="401"),
        pytest.param(refused(105, status=403), id="403"),
        pytest.param(refused(3, status=404), id="404"),
        pytest.param(refused(999, status=500), id="500"),
        pytest.param(refused(5, status=500), id="an error of ipamd's disk"),
        pytest.param(hang_up(), id="nothing"),
        pytest.param(reset(), id="a reset"),
    ],
)
def test_a_release_waits_after_any_answer_that_is_not_a_yes(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step)

    ended = plugin.call("DEL")

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"waits in the spool" in ended.stderr
    [entry] = plugin.waiting()
    assert entry["request"]["issued"] == peer.requests[0].json["issued"]
    assert plugin.set_aside() == []


def test_a_release_that_just_failed_is_not_tried_twice_in_one_call(plugin: Plugin, peer: Peer) -> None:
    peer.will(reply(503, error(11)))

    plugin.call("DEL")

    assert len(peer.requests) == 1


def test_a_release_that_ipamd_does_not_answer_waits_after_its_timeout(plugin: Plugin, peer: Peer) -> None:
    peer.will(silence())

    assert plugin.call("DEL", plugin.config(timeout=0.3)).code == 0
    assert len(plugin.waiting()) == 1


@pytest.mark.parametrize("code", [4, 6, 7, 103])
def test_a_release_that_ipamd_never_takes_is_set_aside_and_the_pod_goes(
    plugin: Plugin, peer: Peer, code: int
) -> None:
    peer.will(refused(code, "never", 400))

    ended = plugin.call("DEL")

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"was set aside" in ended.stderr
    assert plugin.waiting() == []
    [entry] = plugin.set_aside()
    assert entry["request"]["container_id"] == "c1"
    [reason] = (plugin.spool / "set-aside").glob("*.reason")
    when, _, what = reason.read_bytes().partition(b" ")
    assert when.startswith(b"20")
    assert what.strip() == error(code, "never")


def test_an_entry_is_its_owners_alone(plugin: Plugin) -> None:
    plugin.before = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    plugin.call("DEL", plugin.config(endpoint=nobody()))

    [entry] = plugin.spool.glob("*.json")
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(plugin.spool.stat().st_mode) == 0o700
    assert [path.name for path in plugin.spool.iterdir() if path.name.startswith(".")] in ([], [".lock"])


def test_del_fails_with_5_where_neither_ipamd_nor_the_disk_takes_it(plugin: Plugin) -> None:
    plugin.state.write_text("a file where the folder should be")

    error_object = plugin.call("DEL", plugin.config(endpoint=nobody())).error

    assert error_object["code"] == 5
    assert f"{plugin.state}/spool" in error_object["msg"]


def test_a_full_disk_leaves_no_half_entry(plugin: Plugin, node: Node, scratch: Path) -> None:
    (node.etc / "small").mkdir()
    listing = scratch / "listing"
    fill = (
        "mount -t tmpfs -o size=8k none /etc/small; head -c 9000 /dev/zero >/etc/small/filling 2>&-; "
        f'"$@"; code=$?; ls -AR /etc/small >{listing}; exit $code'
    )
    plugin.before = (*node.before, "sh", "-c", fill, "sh")

    error_object = plugin.call("DEL", plugin.config(endpoint=nobody(), stateDir="/etc/small")).error

    assert error_object["code"] == 5
    assert "no space left" in error_object["msg"]
    assert "filling" in listing.read_text()
    assert ".json" not in listing.read_text()


def test_many_releases_at_once_are_many_entries(plugin: Plugin) -> None:
    config = plugin.config(endpoint=nobody())
    running = [plugin.start("DEL", config, CNI_CONTAINERID=f"c{number}") for number in range(8)]

    assert [process.wait(30) for process in running] == [0] * 8
    for process in running:
        process.communicate()

    assert {entry["request"]["container_id"] for entry in plugin.waiting()} == {f"c{n}" for n in range(8)}


def test_a_configuration_of_any_bytes_survives_the_spool(plugin: Plugin, peer: Peer) -> None:
    peer.will(reply(503), reply(204))
    config = {**plugin.config(), "trap": '","request":{"a":1}}', '"request":': [{"request": "}}"}]}
    stdin = json.dumps(config, indent=1, ensure_ascii=False).encode()

    plugin.call("DEL", stdin)
    plugin.call("CHECK")

    assert peer.requests[2].body.endswith(b',"config":' + stdin + b"}")
    assert plugin.waiting() == []
