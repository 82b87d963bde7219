"""What waits in the spool goes out after a call has had its own answer."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from tests.cni.executable import Plugin
from tests.cni.peer import Peer, Step, error, granted, nobody, refused, reply, silence

ADD = "/v1/cni/add"
DEL = "/v1/cni/del"


def spool_releases(plugin: Plugin, count: int, args: str = "") -> list[Path]:
    """Leave releases to `peer` in the spool, as calls do that it did not answer; give their files."""
    plugin.state.mkdir(exist_ok=True)
    plugin.spool.mkdir(mode=0o700, exist_ok=True)
    paths = []
    for number in range(count):
        issued = {"boot": "before", "uptime_ns": number, "time": "2026-01-01T00:00:00Z"}
        request = {
            "container_id": f"old{number}",
            "args": args.format(number=number),
            "issued": issued,
            "config": plugin.config(),
        }
        entry = {"endpoint": [plugin.config()["ipam"]["endpoint"]], "request": request}
        path = plugin.spool / f"{number:04}.json"
        path.write_text(json.dumps(entry, separators=(",", ":")))
        path.chmod(0o600)
        paths.append(path)
    return paths


def delivered(peer: Peer) -> set[str]:
    return {one.json["container_id"] for one in peer.requests if "delivered" in one.json}


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_every_call_delivers_what_waits(plugin: Plugin, peer: Peer, verb: str) -> None:
    spool_releases(plugin, 3)

    for _ in range(3):  # one call does it, unless the machine stands still for its 200 ms
        peer.will(*[granted()] * (verb == "ADD"), reply(204))
        assert plugin.call(verb, {**plugin.config(), "cniVersion": "1.1.0"}).code == 0
        if not plugin.waiting():
            break

    assert delivered(peer) == {"old0", "old1", "old2"}
    assert plugin.waiting() == []
    assert peer.requests[-1].path == DEL


def test_an_add_comes_after_the_releases_of_its_own_pod(plugin: Plugin, peer: Peer) -> None:
    pod = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db-{number}"
    spool_releases(plugin, 20, pod)
    peer.will(reply(204), granted(), reply(204))

    assert plugin.call("ADD", CNI_ARGS=f"{pod.format(number=7)};K8S_POD_INFRA_CONTAINER_ID=c1").code == 0

    assert [one.path for one in peer.requests[:2]] == [DEL, ADD]
    assert peer.requests[0].json["container_id"] == "old7"
    assert peer.requests[1].json["spooled"] == 19


@pytest.mark.parametrize(
    "own",
    [
        pytest.param("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db", id="a name that begins alike"),
        pytest.param("K8S_POD_NAMESPACE=test;K8S_POD_NAME=db-7", id="another namespace"),
        pytest.param("K8S_POD_NAME=db-7", id="no namespace"),
        pytest.param("", id="no pod"),
    ],
)
def test_an_add_waits_for_no_release_of_others(plugin: Plugin, peer: Peer, own: str) -> None:
    spool_releases(plugin, 20, "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db-{number}")
    peer.will(granted(), reply(204))

    assert plugin.call("ADD", CNI_ARGS=own).code == 0

    assert peer.requests[0].path == ADD


def test_an_add_asks_in_time_though_the_release_of_its_pod_hangs(plugin: Plugin, peer: Peer) -> None:
    pod = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db-0"
    spool_releases(plugin, 3, pod)
    peer.will(silence(), granted(), reply(204))

    assert plugin.call("ADD", plugin.config(timeout=4), CNI_ARGS=pod).code == 0

    assert [one.path for one in peer.requests[:2]] == [DEL, ADD]


def test_a_call_that_failed_delivers_too(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 1)
    peer.will(refused(100), reply(204))

    assert plugin.call("ADD").code == 1
    assert plugin.waiting() == []


def test_a_delivery_keeps_issued_and_names_the_boot_in_which_it_comes(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 1)

    plugin.call("CHECK")

    own, old = (one.json for one in peer.requests)
    assert old["issued"] == {"boot": "before", "uptime_ns": 0, "time": "2026-01-01T00:00:00Z"}
    assert old["delivered"]["boot"] == own["issued"]["boot"]
    assert old["delivered"]["uptime_ns"] > own["issued"]["uptime_ns"]
    assert 0 < old["timeout"] <= 0.2
    assert "delivered" not in own


def test_each_request_says_how_many_entries_wait(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 3)
    (plugin.spool / "set-aside").mkdir()
    (plugin.spool / "set-aside" / "1.json").write_text("{}")

    plugin.call("CHECK")
    plugin.call("CHECK")

    checks = [one.json["spooled"] for one in peer.requests if one.path.endswith("check")]
    assert checks == [3, 0]


def test_the_answer_is_written_before_anything_is_delivered(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 1)
    peer.will(granted(), silence())

    process = plugin.start("ADD")
    assert process.stdout is not None
    first = process.stdout.read(10)
    process.communicate(timeout=120)

    assert first == b'{ "cniVers'
    assert process.returncode == 0


def test_one_call_delivers_sixteen_at_most(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 40)

    plugin.call("CHECK")

    assert 0 < len(delivered(peer)) <= 16
    assert len(plugin.waiting()) == 40 - len(delivered(peer))


def test_calls_begin_at_different_places(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 64)
    peer.will(reply(503))

    firsts = set()
    for _ in range(6):
        seen = len(peer.requests)
        plugin.call("STATUS", {**plugin.config(), "cniVersion": "1.1.0"})
        firsts.add(peer.requests[seen].json["container_id"])

    assert len(firsts) > 1  # all six at one place: one in a thousand million
    assert len(plugin.waiting()) == 64


def test_delivery_stops_at_the_first_connection_that_fails(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 8)
    peer.will(reply(204), Step(lambda *_: None))

    plugin.call("CHECK")

    assert len(peer.requests) == 2
    assert len(plugin.waiting()) == 8


def test_an_ipamd_that_hangs_holds_delivery_no_longer_than_its_time(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 8)
    peer.will(reply(204), silence())

    plugin.call("CHECK")

    assert len(peer.requests) == 2
    assert len(plugin.waiting()) == 8


@pytest.mark.parametrize(
    "step",
    [refused(105, status=401), refused(105, status=403), refused(3, status=404), refused(999, status=500),
     reply(503, error(11)), reply(502, b"<html>")],
)  # fmt: skip
def test_an_answer_that_may_change_leaves_an_entry_and_goes_on(
    plugin: Plugin, peer: Peer, step: Step
) -> None:
    spool_releases(plugin, 2)
    peer.will(reply(204), step, reply(204))

    plugin.call("CHECK")

    assert len(peer.requests) == 3
    assert len(plugin.waiting()) == 1
    assert plugin.set_aside() == []


@pytest.mark.parametrize("code", [4, 6, 7, 103])
def test_an_entry_that_ipamd_never_takes_is_set_aside_with_the_reason(
    plugin: Plugin, peer: Peer, code: int
) -> None:
    [path] = spool_releases(plugin, 1)
    entry = path.read_bytes()
    peer.will(reply(204), refused(code, "never", 400))

    plugin.call("CHECK")
    plugin.call("CHECK")

    assert plugin.waiting() == []
    assert len(peer.requests) == 3
    aside = plugin.spool / "set-aside" / path.name
    assert aside.read_bytes() == entry
    assert error(code, "never") in Path(f"{aside}.reason").read_bytes()


def test_an_entry_moved_back_is_tried_again(plugin: Plugin, peer: Peer) -> None:
    [path] = spool_releases(plugin, 1)
    peer.will(reply(204), refused(7))
    plugin.call("CHECK")
    (plugin.spool / "set-aside" / path.name).rename(path)
    peer.will(reply(204))

    plugin.call("CHECK")

    assert plugin.waiting() == []
    assert len(peer.requests) == 4


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"endpoint":[],"request":{}}', b'{"endpoint":["http://127.0.0.1:1"]}',
     b'{"endpoint":["x"],"request":{}}', b'{"endpoint":["http://127.0.0.1:1"],"request":7}', b"\xff" * 100],
)  # fmt: skip
def test_a_file_that_is_no_entry_is_set_aside_and_stops_nothing(
    plugin: Plugin, peer: Peer, content: bytes
) -> None:
    paths = spool_releases(plugin, 2)
    paths[0].write_bytes(content)

    assert plugin.call("CHECK").code == 0

    assert delivered(peer) == {"old1"}
    aside = plugin.spool / "set-aside" / paths[0].name
    assert aside.read_bytes() == content
    assert b'"code":6' in Path(f"{aside}.reason").read_bytes()


def test_a_call_does_not_wait_for_another_that_delivers(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 2)
    with (plugin.spool / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plugin.call("CHECK")

        assert delivered(peer) == set()
        assert len(plugin.waiting()) == 2
    plugin.call("CHECK")
    assert plugin.waiting() == []


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_spool_that_others_can_write_to_is_not_delivered(plugin: Plugin, peer: Peer, mode: int) -> None:
    spool_releases(plugin, 1)
    plugin.spool.chmod(mode)

    assert plugin.call("CHECK").code == 0
    assert delivered(peer) == set()


def test_a_spool_of_another_user_is_not_delivered(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 1)
    os.chown(plugin.spool, 4321, 4321)

    assert plugin.call("CHECK").code == 0
    assert delivered(peer) == set()


def test_each_release_reaches_its_own_ipamd(plugin: Plugin, peer: Peer, socket_peer: Peer) -> None:
    peer.will(reply(503))
    socket_peer.will(reply(503))
    plugin.call("DEL", plugin.config(), CNI_CONTAINERID="at-peer")
    plugin.call("DEL", plugin.config(endpoint=socket_peer.endpoint), CNI_CONTAINERID="at-socket")
    peer.will(reply(204))
    seen = len(peer.requests)

    plugin.call("CHECK")
    assert {one.json["container_id"] for one in peer.requests[seen:]} == {"c1", "at-peer"}
    assert [entry["request"]["container_id"] for entry in plugin.waiting()] == ["at-socket"]

    socket_peer.will(reply(204))
    plugin.call("CHECK")
    assert plugin.waiting() == []
    assert socket_peer.requests[-1].json["container_id"] == "at-socket"


def test_a_token_of_an_entry_never_travels_in_the_open(plugin: Plugin, peer: Peer) -> None:
    [path] = spool_releases(plugin, 1)
    entry = json.loads(path.read_bytes())
    entry = {"endpoint": ["http://192.0.2.1:1"], "tokenFile": "/etc/passwd", "request": entry["request"]}
    path.write_text(json.dumps(entry, separators=(",", ":")))

    assert plugin.call("CHECK").code == 0
    assert len(plugin.set_aside()) == 1


def test_strange_files_in_the_spool_do_no_harm(plugin: Plugin, peer: Peer) -> None:
    spool_releases(plugin, 1)
    (plugin.spool / "notes.txt").write_text("mine")
    (plugin.spool / ".unfinished.json").write_text("{")
    (plugin.spool / "folder.json").mkdir()

    assert plugin.call("CHECK").code == 0
    assert plugin.call("CHECK").code == 0
    assert delivered(peer) == {"old0"}
    assert (plugin.spool / "notes.txt").exists()


def test_an_ipamd_that_is_away_costs_one_connection(plugin: Plugin, peer: Peer) -> None:
    away = nobody()
    for number in range(3):
        plugin.call("DEL", plugin.config(endpoint=away), CNI_CONTAINERID=f"c{number}")

    assert plugin.call("CHECK").code == 0
    assert len(plugin.waiting()) == 3
