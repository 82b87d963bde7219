"""What a unit of work writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import structs

from ipamd.models.allocation import Allocation, Ending, NetworkNamespace
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, Seat, SeatKey
from ipamd.models.pod_network import Announced
from ipamd.models.quota import Tally


@dataclass(frozen=True, slots=True)
class RememberedRelease:
    """A remembered release, by which a call that it overtook is recognised when it arrives.

    Of a holder's releases the one with the latest order is kept; if two are equal, the one with the later
    `until`. Undos are kept beside it, one for each order, because an undo is for one ADD only.
    """

    digest: Digest
    order: CallOrder
    undo: bool
    until: Instant


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """What becomes of the live allocation of an owner whom workloads name: see `Allocation.away_since`."""

    id: int
    away_since: Instant | None
    generation: int


@dataclass(frozen=True, slots=True)
class TallyChange:
    """How many more addresses a tally counts. `most` is what it may count before, None if any number."""

    by: int
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A live allocation that ends.

    `by` is the admin who ended it, if any, and `reason` the admin's reason.
    """

    id: int
    until: Instant
    ending: Ending
    by: str | None = None
    reason: str | None = None

    def over(self, row: Allocation) -> Allocation:
        """The allocation as it is stored once it has ended."""
        return structs.replace(
            row,
            until=self.until,
            ending=self.ending,
            ended_by=self.by,
            reason=self.reason,
            seat=None,
            slot=0,
        )


@dataclass(frozen=True, slots=True)
class Repeated:
    """A live allocation whose ADD was repeated, and where its container lives by the last one."""

    id: int
    generation: int
    repeated: CallOrder
    boot: str | None
    netns: NetworkNamespace | None


@dataclass(frozen=True, slots=True)
class SetBack:
    """Moments of an allocation, live or ended, that a clock wrote which was ahead.

    A moment that is later than the one here becomes this one. Others stay, and so does a missing `until`.
    """

    id: int
    since: Instant
    until: Instant

    def lowered(self, row: Allocation) -> Allocation:
        """The allocation as it is stored then."""
        return structs.replace(
            row,
            since=min(row.since, self.since),
            until=None if row.until is None else min(row.until, self.until),
            away_since=None if row.away_since is None else min(row.away_since, self.until),
            free_since=None if row.free_since is None else min(row.free_since, self.until),
        )


@dataclass(slots=True)
class Changes:
    """Everything that a unit of work writes.

    `decided_at` is the revision of the catalogue by which it was decided, None if that does not matter.
    Endings are written before beginnings, so that an address may pass on. What is set back may be what ends.
    `owners` come before both: an owner ends only while it is away.
    `dropped` are the ids of live rows that leave no history: seats that no container had. `returned` seats
    are forgotten; those of `recalled` that there are become so. `configurations` are stored under their
    digests unless they are known. Of a workload and position the `former` address with the latest `since` is
    kept. `tallies` are changed last but for `announced`: who
    changes the same waits until this unit of work ends, and sees its change.
    `announced` comes last of all: see `CatalogueChange.announce`.
    """

    begun: list[Allocation] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    set_back: list[SetBack] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    remembered: list[RememberedRelease] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    returned: list[SeatKey] = field(default_factory=list)
    recalled: list[SeatKey] = field(default_factory=list)
    configurations: dict[Digest, bytes] = field(default_factory=dict)
    censuses: list[Census] = field(default_factory=list)
    former: list[FormerAddress] = field(default_factory=list)
    tallies: dict[Tally, TallyChange] = field(default_factory=dict)
    owners: list[OwnerChange] = field(default_factory=list)
    announced: frozenset[Announced] = frozenset()
    decided_at: int | None = None

    def end(self, row: Allocation, ended: Ended) -> None:
        """End a live allocation. None ends before it began, though a clock was ahead when it did."""
        self.ended.append(ended)
        if row.since > ended.until:
            self.set_back.append(SetBack(ended.id, ended.until, ended.until))
