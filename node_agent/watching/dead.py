"""Which of a node's allocations belong to containers that are gone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from msgspec import Struct


class Held(Struct, frozen=True):
    """An address that a container of this node holds, as ipamd tells of it."""

    id: int
    generation: int
    taken: int
    repeated: int
    boot: str | None
    netns: tuple[int, int] | None
    network: str
    container_id: str
    ifname: str
    address: str


class Sight(NamedTuple):
    """What is seen: this boot, the device of namespaces, and the inodes of those that live."""

    boot: str
    device: int
    living: Set[int]


def of_former_boots(rows: Iterable[Held], boot: str) -> list[Held]:
    """Those of boots that are over."""
    return [row for row in rows if row.boot is not None and row.boot != boot]


def gone(rows: Iterable[Held], sight: Sight) -> list[Held]:
    """Those of this boot whose network namespace is gone.

    An inode may be used again. Then two containers have the same interface of the same namespace by what
    ipamd knows; but an interface is one container's, so that the one whose ADD was last has it.
    """
    here = [row for row in rows if row.boot == sight.boot and row.netns is not None]
    last: dict[tuple[int, str], Held] = {}
    for row in here:
        place = _place(row)
        if place not in last or last[place].repeated < row.repeated:
            last[place] = row
    return [row for row in here if _is_gone(row, sight, last[_place(row)])]


def _is_gone(row: Held, sight: Sight, last: Held) -> bool:
    if row.netns is None or row.netns[0] != sight.device:
        return False
    return row.netns[1] not in sight.living or last.container_id != row.container_id


def _place(row: Held) -> tuple[int, str]:
    return (row.netns[1] if row.netns is not None else 0), row.ifname
