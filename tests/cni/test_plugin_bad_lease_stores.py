"""A store that cannot be used gives nothing: one clear line, and ipamd serves the call."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ipam_plugin.leases import layout
from tests.cni.executable import Plugin
from tests.cni.peer import RESULT, Peer, granted
from tests.lease_store import LeaseStore, answer, key_of

Spoil = Callable[[Path], object]


def overwrite(offset: int, data: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return spoil


def replaced_by(make: Callable[[Path], object]) -> Spoil:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


UNUSABLE: dict[str, tuple[Spoil, bytes]] = {
    "of another format": (overwrite(7, b"\x02"), b"its format is 2, and this plugin knows 1"),
    "replaced": (overwrite(0, layout.RETIRED), b"it was replaced"),
    "writable by others": (lambda path: path.chmod(0o666), b"others than root can write it"),
    "a folder": (replaced_by(Path.mkdir), b"it is not a regular file"),
    "a pipe": (replaced_by(os.mkfifo), b"it is not a regular file"),
    "of another boot": (
        replaced_by(lambda path: LeaseStore(path, boot="0" * 36).fill(b"k" * 16, [1])),
        b"it is of another boot",
    ),
}
if os.geteuid() == 0:
    UNUSABLE["another's"] = (lambda path: os.chown(path, 1000, 1000), b"others than root can write it")

DAMAGED: dict[str, tuple[Spoil, bytes]] = {
    "empty": (lambda path: os.truncate(path, 0), b"it is cut off"),
    "cut off": (lambda path: os.truncate(path, layout.HEADS), b"it is cut off"),
    "something else": (replaced_by(lambda path: path.write_bytes(b"x" * 5000)), b"does not begin as one"),
    "header": (overwrite(layout.UNTIL, b"\x01"), b"the sum of its header is wrong"),
    "length of the header": (overwrite(layout.HEADER_LENGTH, b"\xff\xff"), b"the sum of its header is wrong"),
    "head of a seat": (overwrite(layout.HEADS + 20, b"\x01"), b"the sum of seat 0 is wrong"),
    "mark of a seat": (overwrite(layout.HEADS, bytes([layout.HELD])), b"the sum of seat 0 is wrong"),
    "answer": (overwrite(layout.ANSWERS + 40, b"7"), b"the sum at"),
    "length of an answer": (overwrite(layout.ANSWERS, b"\xff\xff"), b"the sum at"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_store_that_may_not_be_used_stays_as_it_is(
    plugin: Plugin, peer: Peer, store: LeaseStore, name: str
) -> None:
    spoil, why = UNUSABLE[name]
    spoil(store.path)
    peer.will(granted(), granted())

    for _ in range(2):
        ended = plugin.call("ADD")

        assert ended.stdout == RESULT
        assert why in ended.stderr
    assert store.names() == ["store"]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_store_is_set_aside(plugin: Plugin, peer: Peer, store: LeaseStore, name: str) -> None:
    spoil, why = DAMAGED[name]
    spoil(store.path)
    peer.will(granted(), granted())

    ended = plugin.call("ADD")

    assert ended.stdout == RESULT
    assert why in ended.stderr
    assert store.names() == ["store.set-aside"]
    again = plugin.call("ADD", CNI_CONTAINERID="c2")
    assert (again.stdout, again.stderr) == (RESULT, b"")


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_a_damaged_holder_or_identity_is_set_aside_too(
    plugin: Plugin, peer: Peer, store: LeaseStore, verb: str
) -> None:
    assert plugin.call("ADD").stdout == answer(1)
    data = store.path.read_bytes()
    key = layout.digest("default", "node-a", "pods", "c1", "eth0")
    at = data.index(key, layout.IDENTITIES) - 20
    overwrite(at, bytes([data[at] ^ 0xFF]))(store.path)
    peer.will(granted())

    ended = plugin.call(verb)

    assert ended.code == 0
    assert b"the sum of an identity is wrong" in ended.stderr
    assert [one.path for one in peer.requests] == [f"/v1/cni/{verb.lower()}"]


def test_of_damaged_stores_the_last_one_is_kept(plugin: Plugin, peer: Peer, store: LeaseStore) -> None:
    for until in (b"\x01", b"\x02"):
        overwrite(layout.UNTIL, until)(store.path)
        plugin.call("CHECK")
        LeaseStore(store.path)

    assert store.names() == ["store", "store.set-aside"]
    assert store.path.with_name("store.set-aside").read_bytes()[layout.UNTIL] == 2


def test_the_store_of_another_node_of_this_machine_is_left_alone(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    peer.will(granted())

    ended = plugin.call("ADD", NODE_NAME="node-b")

    assert (ended.stdout, ended.stderr) == (RESULT, b"")
    assert store.events() == []


def test_a_store_whose_identities_have_no_room_gives_nothing_any_more(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    """What cannot be noted closes the store: ipamd might know of somebody of whom the store does not."""
    from ipam_plugin.leases import changes, identities

    key = layout.digest("default", "node-a", "pods", "c1", "eth0")
    with store.locked() as locked:
        for number in range(layout.SLOTS):
            other = key[:1] + bytes([number]) * 15
            changes.note_central(locked, identities.find(locked, other), 1, 1)
    peer.will(granted(), granted())

    assert plugin.call("ADD").stdout == RESULT
    assert plugin.call("ADD", CNI_CONTAINERID="c2").stdout == RESULT
    assert store.events() == []


def test_ends_make_room_and_what_is_older_than_a_forgotten_one_waits(
    plugin: Plugin, peer: Peer, store: LeaseStore
) -> None:
    from ipam_plugin.leases import changes, identities

    store.fill(key_of(plugin.config()), [4, 5])
    key = layout.digest("default", "node-a", "pods", "c1", "eth0")
    ahead = 1 << 60
    with store.locked() as locked:
        for number in range(layout.SLOTS):
            other = identities.find(locked, key[:1] + bytes([number]) * 15)
            changes.note_end(locked, other, ahead if number == 0 else 1, number)

    assert plugin.call("ADD").stdout == answer(1)
    assert plugin.call("ADD", CNI_CONTAINERID="c2").error["code"] == 11
    assert peer.requests == []
