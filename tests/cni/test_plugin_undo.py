"""An ADD that gave up leaves a release of what it may have taken, and of nothing else."""

import signal
from pathlib import Path

import pytest

from tests.cni.executable import Plugin
from tests.cni.peer import (
    RESULT,
    Peer,
    Step,
    error,
    granted,
    hang_up,
    nobody,
    refused,
    reply,
    reset,
    silence,
    wait_until,
)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(silence(), id="silence"),
        pytest.param(hang_up(), id="connection lost"),
        pytest.param(reset(), id="connection reset"),
        pytest.param(reply(502, b"<html>", "text/html"), id="a proxy's page"),
        pytest.param(reply(503, b"<html>", "text/html"), id="a proxy's 503"),
    ],
)
def test_an_add_that_gave_up_in_doubt_spools_its_undo(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step)

    ended = plugin.call("ADD", plugin.config(timeout=0.4))

    assert ended.error["code"] == 11
    [entry] = plugin.waiting()
    asked = peer.requests[0].json
    assert entry["request"].pop("undo") is True
    assert entry["request"] == {key: asked[key] for key in entry["request"]}
    assert asked["issued"] == entry["request"]["issued"]


def test_an_undo_is_delivered_like_a_release(plugin: Plugin, peer: Peer) -> None:
    peer.will(silence())
    plugin.call("ADD", plugin.config(timeout=0.3))
    added = peer.requests[0].json
    peer.will(reply(204))

    plugin.call("CHECK")

    undo = peer.requests[-1]
    assert undo.path == "/v1/cni/del"
    assert undo.json["undo"] is True
    assert undo.json["issued"] == added["issued"]
    assert set(undo.json["delivered"]) == {"boot", "uptime_ns", "time"}
    assert undo.json["delivered"]["uptime_ns"] > undo.json["issued"]["uptime_ns"]
    assert plugin.waiting() == []


def test_an_undo_goes_out_with_the_same_call_when_ipamd_is_there_again(plugin: Plugin, peer: Peer) -> None:
    peer.will(hang_up(), refused(100), reply(204))

    ended = plugin.call("ADD")

    assert ended.stdout == error(100)
    assert [one.path for one in peer.requests] == ["/v1/cni/add", "/v1/cni/add", "/v1/cni/del"]
    assert peer.requests[2].json["undo"] is True
    assert plugin.waiting() == []


def test_an_add_that_succeeds_in_the_end_undoes_nothing(plugin: Plugin, peer: Peer) -> None:
    peer.will(hang_up(), reply(502), reset(), granted())

    assert plugin.call("ADD").stdout == RESULT
    assert plugin.waiting() == []
    assert len(peer.requests) == 4


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(refused(100), id="nothing free"),
        pytest.param(reply(503, error(11)), id="ipamd's own 503"),
    ],
)
def test_an_add_that_ipamd_refused_undoes_nothing(plugin: Plugin, peer: Peer, step: Step) -> None:
    peer.will(step)

    assert plugin.call("ADD", plugin.config(timeout=2)).code == 1
    assert plugin.waiting() == []


def test_an_add_that_reached_nobody_undoes_nothing(plugin: Plugin) -> None:
    assert plugin.call("ADD", plugin.config(endpoint=nobody(), timeout=0.3)).error["code"] == 11
    assert plugin.waiting() == []


def test_a_result_that_nobody_can_read_is_undone(plugin: Plugin, peer: Peer, unreadable: int) -> None:
    peer.will(granted(), reply(503))
    ended = plugin.call("ADD", stdout=unreadable)

    assert ended.code == 1
    assert b"stdout" in ended.stderr
    [entry] = plugin.waiting()
    assert entry["request"]["undo"] is True
    assert entry["request"]["issued"] == peer.requests[0].json["issued"]


def test_an_add_in_doubt_on_a_full_disk_still_says_11(plugin: Plugin, peer: Peer) -> None:
    peer.will(hang_up())
    plugin.state.write_text("a file where the folder should be")

    ended = plugin.call("ADD", plugin.config(timeout=0.3))

    assert ended.error["code"] == 11
    assert b"left to the runtime's DEL" in ended.stderr


def test_an_add_that_is_killed_leaves_no_half_entry(plugin: Plugin, peer: Peer) -> None:
    peer.will(silence())
    process = plugin.start("ADD")
    wait_until(lambda: len(peer.requests) == 1)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert not Path(plugin.spool).exists()
