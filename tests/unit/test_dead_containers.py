"""Which of a node's allocations belong to containers that are gone, from what the agent sees."""

from __future__ import annotations

from typing import Any

from node_agent.watching.dead import Held, Sight, gone, of_former_boots

DEVICE = 4
SIGHT = Sight("monday", DEVICE, {7, 8})


def row(number: int, inode: int | None = 7, **more: Any) -> Held:
    given: dict[str, Any] = {
        "id": number,
        "generation": 1,
        "taken": number,
        "repeated": number,
        "boot": "monday",
        "netns": None if inode is None else (DEVICE, inode),
        "network": "pods",
        "container_id": f"c{number}",
        "ifname": "eth0",
        "address": "10.0.0.1",
    }
    return Held(**(given | more))


def dead(*rows: Held) -> list[int]:
    return [each.id for each in gone(rows, SIGHT)]


def test_a_container_whose_namespace_is_nowhere_is_dead() -> None:
    assert dead(row(1, 7), row(2, 9)) == [2]


def test_what_cannot_be_compared_is_not_dead() -> None:
    assert dead(row(1, None), row(2, 9, netns=(5, 9)), row(3, 9, boot=None), row(4, 9, boot="sunday")) == []


def test_of_two_containers_with_one_interface_of_one_namespace_the_later_lives() -> None:
    """The inode was used again: an interface has one container."""
    assert dead(row(1, 7), row(2, 7)) == [1]
    assert dead(row(2, 7), row(1, 7, repeated=3)) == [2], "the last ADD counts, not the first"


def test_several_addresses_and_interfaces_of_one_container_live_together() -> None:
    assert dead(row(1, 7), row(2, 7, container_id="c1"), row(3, 7, container_id="c1", ifname="net1")) == []
    assert dead(row(1, 7), row(2, 7, ifname="net1")) == [], "who knows which container has it"


def test_all_of_a_former_boot_are_dead_whatever_namespace_they_had() -> None:
    rows = [row(1, 7, boot="sunday"), row(2, None, boot="sunday"), row(3, 7), row(4, 7, boot=None)]

    assert [each.id for each in of_former_boots(rows, "monday")] == [1, 2]
