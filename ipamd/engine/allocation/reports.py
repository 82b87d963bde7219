"""What becomes of the reports of a batch, and what its calls need to know of leases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from ipamd.backends.interface import Changes, Found, Transaction
from ipamd.engine.allocation import call_order
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.call import Call, Contended, ReleaseCall, ReportCall, Verdict
from ipamd.engine.allocation.picked import NotYet
from ipamd.engine.allocation.seat_changes import SeatChanges
from ipamd.models.allocation import Allocation
from ipamd.models.errors import ReportGap
from ipamd.models.identity import Digest, Identity
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, SeatEvent, SeatEventKind, SeatKey, lease_digest, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Reported


@dataclass(frozen=True, slots=True)
class Leased:
    """The leases that a batch depends on, and the rows of containers on the seats that it is about."""

    leases: Mapping[NodeKey, Lease] = field(default_factory=dict)
    pinned: Mapping[SeatKey, Sequence[Allocation]] = field(default_factory=dict)


NO_LEASES: Final = Leased()


def locked_for(call: Call) -> tuple[Digest, ...]:
    """The digests that a call needs locked: its holders, and the lease that it depends on."""
    if call.lease is None or isinstance(call, ReportCall):
        return call.holders
    return (*call.holders, lease_digest(call.lease))


async def find_leased(
    calls: Sequence[Call], depending: Sequence[Call], transaction: Transaction
) -> tuple[Found, Leased]:
    """Lock and find the holders of a batch of which some calls depend on leases."""
    digests = dict.fromkeys(digest for call in calls for digest in locked_for(call))
    found = await transaction.find(list(digests))
    nodes = {call.lease for call in depending if call.lease is not None}
    leases = await transaction.leases(sorted(node for node in nodes if lease_digest(node) not in found.busy))
    pinned: dict[SeatKey, list[Allocation]] = {}
    unknown = [key for call in depending for key in _unknown_seats(call, found, pinned)]
    for row in await transaction.pinned(unknown) if unknown else ():
        if row.seat is not None and isinstance(row.holder, Identity):
            pinned.setdefault(SeatKey(row.holder.node_key, row.seat.number), []).append(row)
    return found, Leased(leases, pinned)


def _unknown_seats(
    call: Call, found: Found, pinned: MutableMapping[SeatKey, list[Allocation]]
) -> Iterator[SeatKey]:
    """The seats of a call that are neither free nor its own containers': who has them is to be looked up.

    All addresses of a seat are free, or one container's. Those of its own containers are added to `pinned`.
    """
    if isinstance(call, ReleaseCall) and call.release.seat is not None:
        yield call.release.seat
    if not isinstance(call, ReportCall):
        return
    for event in call.events:
        key = SeatKey(call.node, event.seat)
        own = [row for row in found.held.get(event.digest, ()) if row.seat and row.seat.number == event.seat]
        if own:
            pinned[key] = own
        elif not found.held.get(seat_owner(key).digest):
            yield key


class Reports:
    """The reports of a batch that wait for the blocks of their seats."""

    def __init__(
        self,
        leased: Leased,
        found: Found,
        blocks: BatchBlocks,
        changes: Changes,
        seats: SeatChanges,
        now: Instant,
    ) -> None:
        self._leased = leased
        self._found = found
        self._blocks = blocks
        self._changes = changes
        self._seats = seats
        self._now = now
        self._waiting: dict[int, tuple[ReportCall, Lease, Sequence[SeatEvent]]] = {}

    def begin(self, at: int, call: ReportCall) -> Verdict | None:
        """Decide a report that changes nothing; None if it waits for blocks."""
        lease = self._leased.leases.get(call.node)
        last = call.first + len(call.events) - 1
        if lease is None or (lease.epoch, lease.store) != (call.epoch, call.store):
            return Reported(last, obeyed=False)
        if call.first > lease.reported + 1:
            return Refused(ReportGap(lease.reported + 1))
        events = call.events[lease.reported + 1 - call.first :]
        if not events:
            return Reported(lease.reported, obeyed=True)
        self._waiting[at] = call, lease, events
        return None

    def touched(self, at: int) -> Iterator[tuple[SeatEvent, Sequence[Allocation]]]:
        """The events of a report that waits, each with the rows of its seat."""
        if at in self._waiting:
            call, _, events = self._waiting[at]
            yield from ((event, self._rows_of(call.node, event)) for event in events)

    def leave(self, at: int) -> None:
        """Carry nothing of a report out, if it is one: it is contended."""
        self._waiting.pop(at, None)

    def advance(self) -> Iterator[tuple[int, Verdict]]:
        """Decide those reports whose blocks are at hand, or cannot be had."""
        for at, (call, lease, events) in list(self._waiting.items()):
            rows = [row for event in events for row in self._rows_of(call.node, event)]
            lacking = {self._blocks.lacks(row.pool, row.block) for row in rows}
            if NotYet.CONTENDED in lacking:
                verdict: Verdict = Contended()
            elif NotYet.SEARCHING in lacking:
                continue
            else:
                verdict = self._carry_out(call, lease, events)
            del self._waiting[at]
            yield at, verdict

    def _rows_of(self, node: NodeKey, event: SeatEvent) -> list[Allocation]:
        key = SeatKey(node, event.seat)
        return [*self._found.held.get(seat_owner(key).digest, ()), *self._leased.pinned.get(key, ())]

    def _carry_out(self, call: ReportCall, lease: Lease, events: Sequence[SeatEvent]) -> Reported:
        unknown: list[int] = []
        overtaken: list[tuple[Digest, CallOrder, bool]] = []
        for event in events:
            rows, held = self._rows_of(call.node, event), self._found.held.get(event.digest, ())
            if not self._seats.carry_out(event, rows, held):
                unknown.append(event.seat)
            elif event.kind is not SeatEventKind.END:
                releases = self._found.releases.get(event.digest, ())
                overtaking = [one for one in releases if call_order.overtaken(event.order, [one], self._now)]
                overtaken += [(event.digest, one.order, one.undo) for one in overtaking]
        reported = lease.reported + len(events)
        self._changes.leases.append(
            structs.replace(
                lease,
                reported=reported,
                heard=self._now,
                noted_boot=None,
                noted_store=None,
                noted=None,
            )
        )
        return Reported(reported, obeyed=True, unknown=tuple(unknown), overtaken=tuple(overtaken))
