"""The census of a node: which of its allocations it says are dead, and which machine says so."""

from __future__ import annotations

import msgspec
from msgspec import Struct

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


class Census(Struct, frozen=True, kw_only=True):
    """What a node last said of itself.

    `machine` and `boot` are whose word counts, since the instant `since`. Another machine or boot that
    speaks for the node is noted beside them: at `noted` first after a word of theirs, at `rival_heard` last.
    `waiting` counts suspicions that wait for an admin. `timeline` is the one in which the node last spoke.
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


_DECODER = msgspec.json.Decoder(Census)


def encoded(census: Census) -> str:
    """A census as one line of JSON."""
    return msgspec.json.encode(census).decode()


def decoded(line: str) -> Census:
    """The census of such a line."""
    return _DECODER.decode(line)
