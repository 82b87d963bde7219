"""What a lease serves asks nobody; everything else goes the way that it goes without leases."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from ipam_plugin.leases import layout
from node_agent.leasing import seating
from tests.cni.executable import SECONDS, Document, Plugin
from tests.cni.node import on_run
from tests.cni.peer import RESULT, Peer, granted, nobody, refused, reply, silence, wait_until
from tests.lease_store import LeaseStore, answer, key_of


def with_previous(config: Document, *addresses: str) -> Document:
    ips = [{"address": address} for address in addresses]
    return config | {"prevResult": {"cniVersion": "1.0.0", "ips": ips}}


def test_an_add_gets_the_answer_of_a_seat_and_asks_nobody(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    ended = plugin.call("ADD")

    assert (ended.code, ended.stdout) == (0, answer(1))
    assert peer.requests == []
    [begin] = store.events()
    assert (begin["kind"], begin["seat"]) == ("begin", 1)
    assert begin["request"] == {
        "network": "pods",
        "container_id": "c1",
        "netns": "/run/netns/gone",
        "netns_id": None,
        "ifname": "eth0",
        "args": "IgnoreUnknown=1;K8S_POD_NAME=web-0",
        "path": "/opt/cni/bin",
    }
    assert set(begin["issued"]) == {"boot", "uptime_ns", "time"}


def test_a_repeat_gets_the_same_answer_also_when_the_configuration_has_changed(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")

    ended = plugin.call("ADD", plugin.config(routes=[{"dst": "10.0.0.0/8"}]))

    assert ended.stdout == answer(1)
    assert peer.requests == []
    assert store.kinds() == [("begin", 1), ("repeat", 1)]


def test_each_container_gets_another_seat_until_all_are_taken(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    peer.will(granted())

    given = [plugin.call("ADD", CNI_CONTAINERID=f"c{number}").stdout for number in range(4)]

    assert given == [answer(1), answer(2), answer(3), RESULT]
    assert [one.json["container_id"] for one in peer.requests] == ["c3"]


def test_a_del_frees_its_seat_and_asks_nobody(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    plugin.call("ADD")

    ended = plugin.call("DEL", plugin.config(endpoint=nobody()))

    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert peer.requests == []
    assert plugin.waiting() == []
    assert store.states()[1] == layout.FREE
    end = store.events()[-1]
    assert (end["kind"], end["seat"], end["ending"]) == ("end", 1, "released")
    assert end["request"] == {"network": "pods", "container_id": "c1", "ifname": "eth0"}


def test_a_second_del_goes_to_ipamd(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    plugin.call("ADD")
    plugin.call("DEL")

    plugin.call("DEL")

    assert [one.path for one in peer.requests] == ["/v1/cni/del"]
    assert store.kinds() == [("begin", 1), ("end", 1)]


def test_a_seat_cools_before_it_is_given_again(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    other = plugin.config(timeout=5)
    store.fill(key_of(other), [7], cooldown_ns=3600 * 10**9)
    assert plugin.call("ADD", other).stdout == answer(7)
    plugin.call("DEL", other)
    peer.will(granted())

    assert plugin.call("ADD", other, CNI_CONTAINERID="c2").stdout == RESULT


def test_the_seat_that_has_been_cool_longest_is_given_first(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    for verb, container in (("ADD", "c1"), ("ADD", "c2"), ("DEL", "c2"), ("DEL", "c1")):
        plugin.call(verb, CNI_CONTAINERID=container)

    given = [plugin.call("ADD", CNI_CONTAINERID=name).stdout for name in ("c3", "c4", "c5")]

    assert given == [answer(3), answer(2), answer(1)]


def test_a_container_that_came_back_after_its_del_gets_a_seat(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")
    plugin.call("DEL")

    assert plugin.call("ADD").stdout == answer(2)
    assert peer.requests == []


@pytest.mark.parametrize(
    ("more", "variables"),
    [
        pytest.param({"runtimeConfig": {"ips": ["10.9.0.7/24"]}}, {}, id="runtimeConfig.ips"),
        pytest.param({"args": {"cni": {"ips": ["10.9.0.7"]}}}, {}, id="args.cni.ips"),
        pytest.param(
            {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"ipamd.io/pools": "blue"}}},
            {},
            id="an annotation",
        ),
        pytest.param(
            {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"IPAMD.io/owner": "x"}}},
            {},
            id="an annotation that the plugin does not know",
        ),
        pytest.param({}, {"CNI_ARGS": "IP=10.9.0.7"}, id="IP"),
        pytest.param({}, {"CNI_ARGS": "IgnoreUnknown=1;COLOR=blue"}, id="an argument of others"),
        pytest.param({}, {"CNI_ARGS": "IgnoreUnknown=perhaps"}, id="an argument that ipamd refuses"),
        pytest.param({}, {"CNI_ARGS": "K8S_POD_NAME=\u00fc\u0085"}, id="a name that cannot be printed"),
    ],
)
def test_what_bears_on_the_address_is_for_ipamd(
    plugin: Plugin, peer: Peer, store: LeaseStore, more: Document, variables: dict[str, str]
) -> None:
    peer.will(granted())

    assert plugin.call("ADD", plugin.config() | more, **variables).stdout == RESULT
    assert store.events() == []


@pytest.mark.parametrize(
    "more",
    [
        {"runtimeConfig": {"portMappings": [{"hostPort": 80}]}},
        {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"example.org/x": "y"}}},
        {"prevResult": {"cniVersion": "1.0.0"}},
        {"args": {}},
    ],
)
def test_what_does_not_bear_on_the_address_is_for_the_lease(
    plugin: Plugin, peer: Peer, store: LeaseStore, more: Document
) -> None:
    assert plugin.call("ADD", plugin.config() | more).stdout == answer(1)


def test_another_configuration_has_no_seat_here(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    peer.will(granted())

    assert plugin.call("ADD", plugin.config(routes=[{"dst": "10.0.0.0/8"}])).stdout == RESULT


def test_whom_ipamd_was_asked_for_is_never_served_from_a_seat(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    peer.will(refused(100), granted())
    assert plugin.call("ADD", plugin.config() | {"args": {"cni": {"ips": ["10.9.0.7"]}}}).error["code"] == 100

    assert plugin.call("ADD").stdout == RESULT
    assert store.events() == []


def test_a_del_of_whom_ipamd_knows_goes_to_ipamd_and_ends_it_here(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    peer.will(granted(), reply(204))
    plugin.call("ADD", plugin.config() | {"args": {"cni": {"ips": ["10.9.0.7"]}}})
    plugin.call("DEL")

    assert plugin.call("ADD").stdout == answer(1)
    assert [one.path for one in peer.requests] == ["/v1/cni/add", "/v1/cni/del"]


def test_a_repeat_that_asks_for_another_address_is_refused_and_for_its_own_is_not(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")

    assert plugin.call("ADD", CNI_ARGS="IP=10.9.0.1").stdout == answer(1)
    refusal = plugin.call("ADD", CNI_ARGS="IP=10.9.0.2").error
    assert refusal["code"] == 102
    assert "10.9.0.2" in refusal["msg"]
    assert "10.9.0.1" in refusal["msg"]


def test_an_answer_that_nobody_can_read_frees_its_seat(
    plugin: Plugin, peer: Peer, store: LeaseStore, unreadable: int
) -> None:
    ended = plugin.call("ADD", stdout=unreadable)

    assert ended.code == 1
    assert b"stdout" in ended.stderr
    assert plugin.waiting() == []
    assert [event.get("ending") for event in store.events()] == [None, "undone"]
    assert store.states() == {1: layout.FREE, 2: layout.FREE, 3: layout.FREE}


def test_a_check_compares_the_seat_with_the_interface(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    plugin.call("ADD")

    assert plugin.call("CHECK", with_previous(plugin.config(), "10.9.0.99/24", "10.9.0.1/16")).code == 0
    other = plugin.call("CHECK", with_previous(plugin.config(), "10.9.0.2/24")).error
    assert (other["code"], "10.9.0.1" in other["msg"]) == (102, True)
    assert plugin.call("CHECK").error["code"] == 7
    assert peer.requests == []


def test_a_check_of_others_is_for_ipamd(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    assert plugin.call("CHECK", with_previous(plugin.config(), "10.9.0.1/24")).code == 0
    assert [one.path for one in peer.requests] == ["/v1/cni/check"]


def test_a_gc_ends_what_is_not_listed_and_tells_ipamd_too(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    other = plugin.config() | {"name": "others"}
    store.fill(key_of(other), [9])
    plugin.call("ADD", other)
    for container in ("c1", "c2", "c3"):
        plugin.call("ADD", CNI_CONTAINERID=container)
    listed = [{"containerID": "c2", "ifname": "eth0"}, {"containerID": "c3", "ifname": "eth1"}]
    config: Document = plugin.config() | {"cniVersion": "1.1.0", "cni.dev/valid-attachments": listed}

    assert plugin.call("GC", config).code == 0

    assert [one.path for one in peer.requests] == ["/v1/cni/gc"]
    held = {number for number, state in store.states().items() if state == layout.HELD}
    assert held == {2, 9}
    assert [event["ending"] for event in store.events()[-2:]] == ["collected", "collected"]


def test_a_gc_without_a_list_ends_nothing(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    plugin.call("ADD")
    peer.will(refused(7))

    assert plugin.call("GC", plugin.config() | {"cniVersion": "1.1.0"}).error["code"] == 7
    assert store.kinds() == [("begin", 1)]


def test_a_del_that_was_spooled_is_carried_out_here_first(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")
    with store.locked():  # another call that takes its time
        assert plugin.call("DEL").code == 0
        assert len(plugin.waiting()) == 1
    assert peer.requests == []

    plugin.call("ADD", CNI_CONTAINERID="c2")

    assert plugin.waiting() == []
    assert peer.requests == []
    assert store.kinds() == [("begin", 1), ("begin", 2), ("end", 1)]


def test_a_spooled_del_of_before_ends_nobody_who_came_after_it(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    with store.locked():
        plugin.call("DEL")

    plugin.call("ADD")

    assert store.kinds() == [("begin", 1)]
    assert plugin.waiting() == []
    assert [one.path for one in peer.requests] == ["/v1/cni/del"]


def test_an_add_waits_while_others_have_the_lock(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    waiting = _add_that_waits_for_its_stdin(plugin)

    with store.locked():
        assert waiting.stdin is not None
        waiting.stdin.write(json.dumps(plugin.config()).encode())
        waiting.stdin.close()
        time.sleep(0.5)  # as an agent that gets no processor
        assert waiting.poll() is None

    assert waiting.wait(SECONDS) == 0
    assert store.kinds() == [("begin", 1)]
    assert peer.requests == []


@pytest.mark.parametrize("timeout", [0.4, 0.001])
def test_an_add_whose_time_is_half_over_while_others_have_the_lock_says_11(
    plugin: Plugin, peer: Peer, store: LeaseStore, timeout: float
) -> None:
    with store.locked():
        ended = plugin.call("ADD", plugin.config(timeout=timeout))

    assert ended.error["code"] == 11
    assert peer.requests == []
    assert store.events() == []


def test_an_add_that_a_del_overtook_is_refused(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    waiting = _add_that_waits_for_its_stdin(plugin)
    plugin.call("DEL")

    stdout, _ = waiting.communicate(json.dumps(plugin.config()).encode(), timeout=SECONDS)

    assert json.loads(stdout)["code"] == 104
    assert store.events() == []


def _add_that_waits_for_its_stdin(plugin: Plugin) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [*plugin.before, *plugin.command],
        env=plugin.environment("ADD"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: "poll" in Path(f"/proc/{process.pid}/wchan").read_text())
    return process


def test_ipamd_hears_of_an_unreported_del_with_the_add_that_follows(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    """Else ipamd would repeat the address of a seat that is free here."""
    plugin.call("ADD")
    plugin.call("DEL")
    [_, end] = store.events()
    asking = plugin.config() | {"args": {"cni": {"ips": ["10.9.0.7"]}}}
    peer.will(refused(100), granted(), granted())

    assert plugin.call("ADD", asking).error["code"] == 100
    assert plugin.call("ADD", asking).stdout == RESULT
    with store.locked() as locked:
        seating.acknowledge(locked, 2)
    assert plugin.call("ADD", asking).stdout == RESULT

    first, second, third = [one.json for one in peer.requests]
    deleted = end["issued"]
    assert (first["ended"]["boot"], first["ended"]["uptime_ns"]) == (deleted["boot"], deleted["uptime_ns"])
    assert first["ended"]["time"][:16] == deleted["time"][:16]
    assert second["ended"]["uptime_ns"] == deleted["uptime_ns"]
    assert "ended" not in third


def test_a_recalled_seat_goes_back_when_it_is_free(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    plugin.call("ADD")
    with store.locked() as locked:
        for place in (0, 1):
            seating.take_back(locked, place)
    assert store.states() == {1: layout.HELD, 2: layout.RETURNING, 3: layout.FREE}

    assert plugin.call("ADD").stdout == answer(1)
    plugin.call("DEL")

    assert store.states() == {1: layout.RETURNING, 2: layout.RETURNING, 3: layout.FREE}


def test_a_closed_store_gives_nothing_and_ends_what_it_gave(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")
    with store.locked() as locked:
        seating.set_open(locked, is_open=False)
    peer.will(granted())

    assert plugin.call("ADD", CNI_CONTAINERID="c2").stdout == RESULT
    assert plugin.call("ADD").stdout == answer(1)
    assert plugin.call("DEL").code == 0
    assert store.states()[1] == layout.FREE


def test_when_the_time_is_over_until_which_the_node_may_give_it_gives_nothing(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    with store.locked() as locked:
        seating.renew(locked, epoch=1, grant=1, until=1)
    peer.will(granted())

    assert plugin.call("ADD").stdout == RESULT


def test_a_full_log_gives_nothing_and_has_room_for_each_end(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    plugin.call("ADD")
    with store.locked() as locked:  # as if everything but the room for one end were full
        begin = locked.number(layout.LOG_END) - layout.LOG_SIZE + layout.END_ROOM
        locked.set(layout.LOG_END, locked.number(layout.LOG_END) + layout.LOG_SIZE)
        locked.set(layout.LOG_BEGIN, begin + layout.LOG_SIZE)
        locked.change([])
    peer.will(granted())

    assert plugin.call("ADD", CNI_CONTAINERID="c2").stdout == RESULT
    assert plugin.call("DEL").code == 0
    assert store.states()[1] == layout.FREE


def test_an_add_in_doubt_at_ipamd_leaves_its_undo_to_ipamd(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    peer.will(silence())

    plugin.call("ADD", plugin.config(timeout=0.4) | {"args": {"cni": {"ips": ["10.9.0.7"]}}})

    assert [entry["request"]["undo"] for entry in plugin.waiting()] == [True]


def test_a_node_without_a_store_asks_ipamd(plugin: Plugin, peer: Peer, scratch: Path) -> None:
    (scratch / "run").mkdir()
    plugin.before = on_run(scratch / "run")
    peer.will(granted())

    assert plugin.call("ADD").stdout == RESULT
