"""What becomes of the releases of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ipamd.backends.interface import Ended, RememberedRelease
from ipamd.engine.allocation import call_order
from ipamd.engine.allocation.batch import Batch
from ipamd.engine.allocation.call import Contended, ReleaseCall, Verdict
from ipamd.engine.allocation.former_addresses import former_of
from ipamd.engine.allocation.picked import NotYet
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import HeldBack, LeaseOver, OwnerHeld, SeatLeased
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import REMEMBERED_FOR
from ipamd.models.lease import SeatKey
from ipamd.models.outcome import Refused, Released
from ipamd.models.request import Release


class Releases:
    """The releases of a batch that wait for the blocks of what they free."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: dict[int, tuple[ReleaseCall, list[Allocation], int]] = {}
        self._of_owners: set[int] = set()
        self._former: dict[tuple[Digest, int], FormerAddress] = {}

    @property
    def former(self) -> Iterable[FormerAddress]:
        """What those had in sticky pools whose addresses were freed."""
        return self._former.values()

    def begin(self, at: int, call: ReleaseCall) -> Verdict | None:
        """Decide a release that is refused; None if it waits for blocks."""
        batch, release = self._batch, call.release
        if release.seat is not None and batch.is_over(release.seat.node, release.epoch):
            return Refused(LeaseOver(release.seat.node.name))
        held = batch.held_by(call.digest)
        meant = held if release.allocation is None else _meant(release, held)
        ending = [row for row in meant if call_order.frees(call.order, release.undo, row)]
        leased = [row for row in ending if row.is_free_seat] if release.seat is None else None
        if leased:
            return Refused(SeatLeased(leased[0].address, leased[0].held_by))
        if ending and ending[0].is_left and ending[0].hold in batch.catalogue.snapshot.holds:
            return Refused(HeldBack(ending[0].address, ending[0].held_by))
        self._waiting[at] = call, ending, len(meant) - len(ending)
        if any(row.slot or row.is_of_owner for row in ending):
            self._of_owners.add(at)
        batch.tallies.expect_rows(at, ending)
        return None

    def leave(self, at: int) -> None:
        """Carry a call out no more, if it is a release: it is contended."""
        self._waiting.pop(at, None)

    def advance(self) -> Iterator[tuple[int, Verdict]]:
        """Decide those releases whose blocks are at hand, or cannot be had."""
        for at, (call, rows, spared) in list(self._waiting.items()):
            verdict = self._try(call, rows, spared, of_owners=at in self._of_owners)
            if verdict is not None:
                del self._waiting[at]
                yield at, verdict

    def _try(
        self, call: ReleaseCall, rows: list[Allocation], spared: int, *, of_owners: bool
    ) -> Verdict | None:
        batch = self._batch
        if of_owners:
            lacking = {batch.owned.lacks(row) for row in rows}
        else:
            freed = (row for row in rows if batch.holds.of(row) is None)
            lacking = {batch.blocks.lacks(row.pool, row.block) for row in freed}
        if NotYet.CONTENDED in lacking:
            return Contended()
        if NotYet.SEARCHING in lacking:
            return None
        try:
            if of_owners:
                rows, spared = self._checked(call, rows, spared)
            self._carry_out(call, rows)
            return Released(tuple(row.address for row in rows), spared)
        except OwnerHeld as held:
            return Refused(held)

    def _checked(
        self, call: ReleaseCall, rows: list[Allocation], spared: int
    ) -> tuple[list[Allocation], int]:
        """Which of owners' addresses a release ends, and how many it spares. Raises OwnerHeld."""
        owned, away_since = self._batch.owned, call.release.away_since
        if away_since is not None:
            ending = [
                row
                for row in rows
                if row.is_of_owner and owned.is_away(row, away_since) and self._is_over(row.pool, away_since)
            ]
            rows, spared = ending, spared + len(rows) - len(ending)
        owned.check_unheld(rows)
        return rows, spared

    def _is_over(self, pool: str, away_since: Instant) -> bool:
        """Whether a pool keeps nothing any more for an owner who is away since then.

        Whoever looked for such owners may not have heard yet that the pool keeps them for longer now.
        """
        keep = self._batch.catalogue.pools[pool].owner_keep
        return away_since <= self._batch.clock.past(keep * SECOND)

    def _carry_out(self, call: ReleaseCall, rows: list[Allocation]) -> None:
        batch, changes, now = self._batch, self._batch.changes, self._batch.now
        ending = Ending.UNDONE if call.release.undo else call.release.ending
        if call.release.seat is not None:
            self._return(call.release.seat, rows)
            return
        for row in rows:
            ended = Ended(row.stored_id, now, ending, call.release.by, call.release.reason)
            if row.seat is not None:
                batch.seats.end(row, ended)
            elif row.slot:
                batch.owned.end(row, ended, batch.catalogue.pools.get(row.pool))
                batch.announce_holders(row)
            elif row.is_of_owner:
                batch.owned.end_owner(row, ended)
            else:
                batch.holds.free(row, now)
                changes.end(row, ended)
                batch.tallies.end(row)
                self._remember_former(row)
            batch.announce(row.pool, row.announced_for)
        if call.remember is not None:
            until = now + REMEMBERED_FOR
            changes.remembered.append(RememberedRelease(call.digest, call.remember, call.release.undo, until))

    def _remember_former(self, row: Allocation) -> None:
        former = former_of(row, self._batch.catalogue.pools.get(row.pool), self._batch.now)
        if former is not None:
            key = former.workload, former.position
            self._former[key] = max(self._former.get(key, former), former, key=lambda one: one.since)

    def _return(self, seat: SeatKey, rows: list[Allocation]) -> None:
        """Take a seat back, unless a container has any of its addresses."""
        if not self._batch.pinned.get(seat):
            self._batch.changes.returned.append(seat)
            for row in rows:
                self._batch.seats.give_back(row)


def _meant(release: Release, held: Sequence[Allocation]) -> list[Allocation]:
    """The row that a release names; if it is of a seat, all of that seat: it is free, or one container's."""
    named = [
        row for row in held if row.id == release.allocation and release.generation in (None, row.generation)
    ]
    seats = {row.seat.number for row in named if row.seat is not None}
    return [row for row in held if row in named or (row.seat is not None and row.seat.number in seats)]
