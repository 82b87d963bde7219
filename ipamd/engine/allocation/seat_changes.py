"""What becomes of the addresses of seats: containers take them and end, nodes give them back."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ipamd.backends.interface import Changes, Ended, RememberedRelease
from ipamd.engine.allocation import call_order
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.tallies import BatchTallies
from ipamd.models.allocation import Allocation, Ending, SeatPosition, Workload
from ipamd.models.identity import Identity
from ipamd.models.instant import Instant
from ipamd.models.issued import NO_CALL, REMEMBERED_FOR
from ipamd.models.lease import SeatEvent, SeatEventKind, SeatKey, seat_owner


class SeatChanges:
    """Writes into a batch's changes what becomes of seats. The blocks of their rows are open."""

    def __init__(self, blocks: BatchBlocks, tallies: BatchTallies, changes: Changes, now: Instant) -> None:
        self._blocks = blocks
        self._tallies = tallies
        self._changes = changes
        self._now = now

    def end(self, row: Allocation, ended: Ended) -> None:
        """End a container's time with the address of a seat: the seat has it again."""
        if row.seat is None or not isinstance(row.holder, Identity):
            raise ValueError(f"{row.address} is no address of a seat that a container has")
        self._changes.end(row, ended)
        self._tallies.end(row)
        owner = seat_owner(SeatKey(row.holder.node_key, row.seat.number))
        free = structs.replace(
            row,
            id=None,
            holder=owner,
            digest=owner.digest,
            position=row.seat.position,
            workload=Workload(),
            boot=None,
            netns=None,
            since=ended.until,
            generation=1,
            taken=NO_CALL,
            repeated=NO_CALL,
            begun_by=None,
            free_since=ended.until,
        )
        self._changes.begun.append(free)
        self._blocks.end_seat(row, ended.until)

    def give_back(self, row: Allocation) -> None:
        """Give the address of a free seat to the pool. It leaves no history."""
        self._changes.dropped.append(row.stored_id)
        self._blocks.give_back_seat(row)

    def carry_out(
        self,
        event: SeatEvent,
        rows: Sequence[Allocation],
        held: Sequence[Allocation],
    ) -> bool:
        """Carry out what a node did. Returns whether the node has the seat.

        `rows` are the seat's, whoever has it; `held` are all that the container has.
        """
        mine = [row for row in rows if row.digest == event.digest]
        match event.kind:
            case SeatEventKind.END:
                self._end_of(event, mine)
            case SeatEventKind.REPEAT if mine:
                self._repeat(event, mine)
            case SeatEventKind.BEGIN if mine and mine[0].taken == event.order:
                pass
            case _:  # a repeat of what ipamd has ended meanwhile is a begin
                self._begin(event, rows, [row for row in held if row not in mine])
        return bool(rows)

    def _end_of(self, event: SeatEvent, mine: Sequence[Allocation]) -> None:
        for row in mine:
            until = self._moment(event, row.since)
            self.end(row, Ended(row.stored_id, until, event.ending))
        remembered = RememberedRelease(
            event.digest, event.order, event.ending is Ending.UNDONE, self._now + REMEMBERED_FOR
        )
        self._changes.remembered.append(remembered)

    def _repeat(self, event: SeatEvent, mine: Sequence[Allocation]) -> None:
        again = [call_order.repeat(row, event.order, event.boot, event.netns) for row in mine]
        self._changes.repeated += again

    def _begin(self, event: SeatEvent, rows: Sequence[Allocation], others: Sequence[Allocation]) -> None:
        """Give the addresses of a seat to a container, beside what it has already."""
        following = max((row.position + 1 for row in others), default=0)
        for place, row in enumerate(sorted(rows, key=_position)):
            since = self._moment(event, row.since)
            if row.is_free_seat:
                self._changes.dropped.append(row.stored_id)
                self._blocks.begin_seat(row)
            else:  # its end was lost with a store
                since = self._now
                self._changes.end(row, Ended(row.stored_id, self._now, Ending.RELEASED))
                self._tallies.end(row)
            begun = structs.replace(
                row,
                id=None,
                holder=event.holder,
                digest=event.digest,
                position=following + place,
                workload=event.workload,
                boot=event.boot,
                netns=event.netns,
                since=since,
                generation=1,
                taken=event.order,
                repeated=event.order,
                begun_by=None,
                free_since=None,
            )
            self._changes.begun.append(begun)
            self._tallies.begin(begun)

    def _moment(self, event: SeatEvent, earliest: Instant) -> Instant:
        """When something happened: after what its address did before, and not after now."""
        return min(max(self._now - event.age, earliest), self._now)


def _position(row: Allocation) -> SeatPosition:
    return row.seat or SeatPosition(0, row.position)
