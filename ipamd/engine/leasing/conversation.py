"""What a node says of its lease when it asks, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ipamd.models.identity import Identity
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Grant
from ipamd.models.request import PoolNames


class SeatState(StrEnum):
    """What a node has done with a seat."""

    FREE = "free"
    TAKEN = "taken"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True)
class WantedSeats:
    """How many free seats a node wants to have for a network configuration, which it names by `key`."""

    key: str
    configuration: bytes
    network: str
    pool_names: PoolNames
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """All that a node has of its lease.

    `epoch` is None at the first asking of a store. The node knows that ipamd has its events up to `reported`.
    `granted` is the last grant that the node took, `revision` the catalogue's in the last answer that it
    took. With `confirm` it wants to know its containers.
    """

    node: NodeKey
    machine: str
    boot: str
    store: str
    epoch: int | None
    granted: int
    seats: Mapping[int, SeatState]
    wanted: Sequence[WantedSeats] = ()
    revision: int = 0
    reported: int = 0
    confirm: bool = False
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class SeatAnswer:
    """A seat as a node is told of it. Its addresses have cooled down in `cools` microseconds."""

    number: int
    key: str
    configuration: bytes
    grants: tuple[Grant, ...]
    cools: Instant


@dataclass(frozen=True, slots=True)
class KnownContainer:
    """A container whose last ADD was issued then, in that boot."""

    identity: Identity
    boot: str | None
    uptime_ns: int


@dataclass(frozen=True, slots=True)
class EndedContainer(KnownContainer):
    """A container on a seat that ipamd ended."""

    seat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a node is told.

    Seats that are `recalled` are to be given back as soon as they are free; `void` ones are not the node's.
    `reported` is the number of the store's last event that ipamd has: a store with fewer is one of the past.
    Those seats are `untaken` that the node says are taken, and that are free at ipamd: their containers are
    `ended`, or ipamd has lost what it was told of them.
    `refused` says of a configuration why no seat is granted. `is_news`: there is something to do now.
    `pools` are those of the node's free seats.
    """

    epoch: int
    granted: int
    reported: int
    seconds: int
    revision: int
    seats: Sequence[SeatAnswer]
    returned: Sequence[int]
    recalled: Sequence[int]
    void: Sequence[int]
    ended: Sequence[EndedContainer]
    untaken: Sequence[int]
    refused: Mapping[str, str]
    identities: Sequence[KnownContainer] | None = None
    is_news: bool
    pools: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeaseUse:
    """The lease of a node in a list: its seats, and how many of them containers have."""

    node: NodeKey
    epoch: int
    machine: str
    boot: str
    until: Instant
    heard: Instant
    reported: int
    seats: int
    taken: int
    pools: Mapping[str, int] = field(default_factory=dict)
