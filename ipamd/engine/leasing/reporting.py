"""Carries out what nodes report of their seats: any number of events, in their order, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.call import ReleaseCall, report_call
from ipamd.models.errors import Unavailable
from ipamd.models.identity import Digest
from ipamd.models.issued import CallOrder
from ipamd.models.lease import SeatEvent
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Reported
from ipamd.models.request import Release

LARGEST_WAVE: Final = 128
"""How many events of a node one batch carries out."""

GATHERED_FOR: Final = 0.1
"""Seconds for which reports of several nodes wait for each other: one transaction carries out all of them."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Events of a node's store, from number `first` on."""

    node: NodeKey
    epoch: int
    store: str
    first: int
    events: Sequence[SeatEvent]
    timeout: float = 10.0


class Reporting:
    """The entrance for reports."""

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator
        self._gathering: asyncio.Future[None] | None = None
        self._latest: tuple[NodeKey, float] | None = None

    async def report(self, report: Report) -> Reported:
        """Carry out a report. Raises ReportGap, Unavailable, InDoubt: what went before is carried out."""
        await self._gather(report.node)
        done = Reported(report.first - 1, obeyed=True)
        first = report.first
        for wave in waves(report.events):
            whole = len(wave) == len(report.events)
            done = await self._carry_out(report if whole else replace(report, first=first, events=wave))
            first += len(wave)
        return done

    async def _gather(self, node: NodeKey) -> None:
        """Wait together with other reports, if other nodes report now. No container waits for any of them."""
        loop = asyncio.get_running_loop()
        former, self._latest = self._latest, (node, loop.time())
        if self._gathering is None:
            if former is None or former[0] == node or loop.time() - former[1] >= GATHERED_FOR:
                return
            self._gathering = loop.create_future()
            loop.call_later(GATHERED_FOR, self._let_go)
        await asyncio.shield(self._gathering)

    def _let_go(self) -> None:
        if self._gathering is not None:
            self._gathering.set_result(None)
        self._gathering = None

    async def _carry_out(self, part: Report) -> Reported:
        call = report_call(part.node, part.epoch, part.store, part.first, tuple(part.events))
        outcome = await self._allocator.submit_report(call, part.timeout)
        if isinstance(outcome, Refused):
            raise outcome.error
        if not isinstance(outcome, Reported):
            raise Unavailable("the report was not carried out: try again")
        if not outcome.obeyed or outcome.unknown:
            self._note(part, outcome)
        for digest, order, undo in outcome.overtaken:
            await self._end_again(part, digest, order, undo=undo)
        return outcome

    async def _end_again(self, part: Report, digest: Digest, order: CallOrder, *, undo: bool) -> None:
        """Carry out a DEL again that came before the begin of its container was reported."""
        release = Release(digest=digest, node=part.node, undo=undo, timeout=part.timeout)
        outcome = await self._allocator.submit_call(ReleaseCall(release, order, None))
        if isinstance(outcome, Refused):
            raise outcome.error

    def _note(self, part: Report, outcome: Reported) -> None:
        """Record what is not obeyed: it is nowhere else."""
        for event in part.events:
            if not outcome.obeyed or event.seat in outcome.unknown:
                log.warning(
                    "lease",
                    outcome="report not obeyed",
                    node=part.node.name,
                    epoch=part.epoch,
                    seat=event.seat,
                    kind=event.kind.value,
                    container_id=event.holder.container_id,
                    ifname=event.holder.ifname,
                )


def waves(events: Sequence[SeatEvent]) -> Iterator[Sequence[SeatEvent]]:
    """Events in their order, cut so that no two of one piece are of one seat, or of one container."""
    start = 0
    seats: set[int] = set()
    holders: set[Digest] = set()
    for at, event in enumerate(events):
        if event.seat in seats or event.digest in holders or at - start == LARGEST_WAVE:
            yield events[start:at]
            start, seats, holders = at, set(), set()
        seats.add(event.seat)
        holders.add(event.digest)
    if start < len(events):
        yield events[start:]
