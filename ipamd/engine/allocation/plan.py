"""What becomes of a batch: decided in memory, from what a transaction found, with no I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from ipamd.backends.interface import (
    BlockSearch,
    Changes,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.engine.allocation.allocations import Allocations
from ipamd.engine.allocation.batch import Batch
from ipamd.engine.allocation.call import Call, Contended, NeedsBlock, ReleaseCall, ReportCall, Verdict
from ipamd.engine.allocation.releases import Releases
from ipamd.engine.allocation.reports import NO_LEASES, Leased, Reports, locked_for
from ipamd.engine.allocation.tallies import BatchTallies
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest


class Plan:
    """One batch on its way to verdicts.

    Calls that need no block are decided at once. The others are tried in their order, again after each
    search, until each has a verdict: releases first, since what they free may serve the rest.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        found: Found,
        catalogue: Catalogue,
        carved_out: Set[str],
        clock: Reading,
        leased: Leased = NO_LEASES,
    ) -> None:
        self._batch = batch = Batch(found, catalogue, carved_out, clock, leased)
        self._releases = Releases(batch)
        self._reports = Reports(leased, found, batch.blocks, batch.changes, batch.seats, batch.now)
        self._allocations = Allocations(batch)
        self._verdicts: list[Verdict | None] = [None] * len(calls)
        for at, call in enumerate(calls):
            self._verdicts[at] = self._begin(at, call)
        if not batch.tallies.are_needed:
            self._advance()

    @property
    def tallies(self) -> BatchTallies:
        """What must be known of quotas before anything goes on, if any of it is needed."""
        return self._batch.tallies

    def count(self, found: Tallied) -> None:
        """Take in what tallies count, and go on."""
        for at in self._batch.tallies.receive(found):
            self._releases.leave(at)
            self._reports.leave(at)
            self._allocations.leave(at)
            self._verdicts[at] = Contended()
        self._advance()

    def workloads(self) -> Set[Digest]:
        """The workloads of which must be known what they had in sticky pools, before their calls go on."""
        return self._allocations.workloads()

    def remember(self, former: Mapping[Digest, Sequence[FormerAddress]]) -> None:
        """Take in what those workloads had, and go on."""
        self._allocations.remember(former)
        self._advance()

    def hold_searches(self) -> list[HoldSearch | HoldPosition]:
        """The addresses of holds that must be known before their calls go on. Asked once."""
        return self._allocations.hold_searches()

    def receive_holds(self, found: Sequence[LockedRows]) -> None:
        """Take in what holds have, and go on."""
        self._allocations.receive_holds(found)
        self._advance()

    def searches(self) -> list[BlockSearch]:
        """The blocks that undecided calls still need; none when every call has its verdict."""
        return self._batch.blocks.searches()

    def receive(self, searches: Sequence[BlockSearch], locked: Sequence[Locked]) -> None:
        """Take in what the searches found, and go on."""
        self._batch.blocks.receive(searches, locked)
        self._advance()

    def unread(self) -> list[HeldAddress]:
        """The addresses of owners whose holders undecided calls must know, before the next search."""
        return self._batch.owned.unread()

    def receive_owned(self, addresses: Sequence[HeldAddress], rows: Sequence[Allocation]) -> None:
        """Take in who has these addresses, and go on."""
        self._batch.owned.receive(addresses, rows)
        self._advance()

    def changes(self) -> Changes:
        """All that the verdicts make necessary to write."""
        batch, changes = self._batch, self._batch.changes
        batch.owned.write()
        changes.blocks = batch.blocks.changed()
        for pool, node in batch.blocks.handed_over():
            batch.announce(pool, node)
        changes.announced = frozenset(batch.announced)
        changes.former = list(self._releases.former)
        changes.tallies = batch.tallies.changes()
        return changes

    def nearly_full(self) -> frozenset[NeedsBlock]:
        """The blocks that nodes will lack soon, where a block is to be announced before it is needed."""
        return self._allocations.nearly_full()

    def verdicts(self) -> list[Verdict]:
        """One for each call, in their order."""
        return [verdict for verdict in self._verdicts if verdict is not None]

    def _begin(self, at: int, call: Call) -> Verdict | None:
        """Decide a call that needs no block; None if it waits for more to be known."""
        found = self._batch.found
        if found.busy and _is_busy(call, found):
            return Contended()
        if isinstance(call, ReleaseCall):
            return self._releases.begin(at, call)
        if not isinstance(call, ReportCall):
            return self._allocations.begin(at, call)
        verdict = self._reports.begin(at, call)
        self._batch.tallies.expect_events(at, self._reports.touched(at))
        return verdict

    def _advance(self) -> None:
        """Try every call that has no verdict."""
        for calls in (self._releases, self._reports, self._allocations):
            for at, verdict in calls.advance():
                self._verdicts[at] = verdict


def _is_busy(call: Call, found: Found) -> bool:
    """Whether another transaction holds what a call needs."""
    return any(digest in found.busy for digest in locked_for(call))
