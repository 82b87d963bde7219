"""The census of a node: which of its allocations it says are dead, and which machine says so."""

from __future__ import annotations

import msgspec
from msgspec import Struct, structs

from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey


class Suspicion(Struct, frozen=True, array_like=True):
    """An allocation that a node says is dead, with its generation then.

    `times` counts the reports that said so, each a grace after the one counted before. `counted` is when the
    last one was.
    """

    allocation: int
    generation: int
    times: int
    counted: Instant


class Conflict(Struct, frozen=True):
    """A container that lives on a node and uses an address that is not its own in the tables, and why."""

    network: str
    container_id: str
    ifname: str
    address: str
    why: str


class Census(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a node last said of itself.

    `machine` and `boot` are whose word counts, since the instant `since`. Another machine or boot that
    speaks for the node is noted beside them: at `noted` first after a word of theirs, at `rival_heard` last.
    `waiting` counts suspicions that wait for an admin. `timeline` is the one in which the node last spoke.
    `told` is the highest id of an allocation that the node says it was told of in the timeline `told_in`.
    """

    node: NodeKey
    machine: str
    boot: str
    since: Instant
    noted_machine: str | None = None
    noted_boot: str | None = None
    noted: Instant | None = None
    rival_heard: Instant | None = None
    suspicions: tuple[Suspicion, ...] = ()
    waiting: int = 0
    timeline: str = ""
    conflicts: tuple[Conflict, ...] = ()
    told: int = 0
    told_in: str = ""

    def told_within(self, timeline: str) -> int:
        """The highest id that the node was told of in a timeline, 0 if it was told of none."""
        return self.told if self.told_in == timeline else 0


_DECODER = msgspec.json.Decoder(Census)


def encoded(census: Census) -> str:
    """A census as one line of JSON, but for what the node was told of: older code would not keep that."""
    return msgspec.json.encode(structs.replace(census, told=0, told_in="")).decode()


def decoded(line: str, told: int, told_in: str) -> Census:
    """The census of such a line, with what the node was told of."""
    return structs.replace(_DECODER.decode(line), told=told, told_in=told_in)
