"""Requests on their way through the engine: each with its place in the order of its node's calls.

`holders` are the digests of which no two calls of a batch have one in common. `lease` is the node whose lease
a call depends on, None for most.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from ipamd.models.identity import Digest
from ipamd.models.issued import CallOrder
from ipamd.models.lease import SeatEvent, SeatKey, lease_digest, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Refused, Released, Reported
from ipamd.models.request import AllocationRequest, Release


class AllocateCall(Struct, frozen=True):
    """A request for addresses, in order; `digest` is its holder's, which is computed once."""

    request: AllocationRequest
    order: CallOrder
    digest: Digest
    node: NodeKey | None
    lease: NodeKey | None = None

    @property
    def holders(self) -> tuple[Digest, ...]:
        owner = self.request.for_owner
        return (self.digest,) if owner is None or owner.digest == self.digest else (self.digest, owner.digest)


class ReleaseCall(Struct, frozen=True):
    """A release, in order; `order` is None when it was issued as it arrived and frees all that is held.

    `remember` is the order under which it is remembered, None if no late call need be told of it.
    """

    release: Release
    order: CallOrder | None
    remember: CallOrder | None

    @property
    def digest(self) -> Digest:
        return self.release.digest

    @property
    def node(self) -> NodeKey | None:
        return self.release.node

    @property
    def lease(self) -> NodeKey | None:
        return self.release.seat.node if self.release.seat is not None else None

    @property
    def holders(self) -> tuple[Digest, ...]:
        return (self.digest,)


class ReportCall(Struct, frozen=True):
    """Events of a node's seats, from number `first` on. No two are of one holder, or of one seat."""

    node: NodeKey
    epoch: int
    store: str
    first: int
    events: tuple[SeatEvent, ...]
    digest: Digest
    holders: tuple[Digest, ...]

    @property
    def lease(self) -> NodeKey:
        return self.node


def report_call(
    node: NodeKey, epoch: int, store: str, first: int, events: tuple[SeatEvent, ...]
) -> ReportCall:
    """A call with all the digests that it depends on."""
    own = lease_digest(node)
    seats = (seat_owner(SeatKey(node, event.seat)).digest for event in events)
    holders = (own, *(event.digest for event in events), *seats)
    return ReportCall(node, epoch, store, first, events, own, holders)


Call = AllocateCall | ReleaseCall | ReportCall


@dataclass(frozen=True, slots=True)
class NeedsBlock:
    """A block that must be carved before a request can be served: of a pool, maybe a certain one.

    With a `count` it must have room for a prefix of so many addresses.
    """

    pool: str
    node: NodeKey | None
    first: int | None = None
    count: int = 1

    @property
    def carvable(self) -> str:
        """What is carved out once there is no such block left."""
        return carvable(self.pool, self.count)


def carvable(pool: str, count: int = 1) -> str:
    """What is carved out once a pool has no block left, or none with room for a prefix of `count` addresses.

    No name of a pool contains a blank.
    """
    return pool if count == 1 else f"{pool} {count}"


@dataclass(frozen=True, slots=True)
class NeedsBlocks:
    """Undecided: nothing was taken, and the request is to be settled again when these blocks are carved."""

    wanted: tuple[NeedsBlock, ...]


@dataclass(frozen=True, slots=True)
class Contended:
    """Undecided: others hold what the request needs, and it is to be settled alone, waiting for them."""


Verdict = Granted | Released | Reported | Refused | NeedsBlocks | Contended
"""An outcome, or what stands in the way of one."""
