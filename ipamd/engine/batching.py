"""Group commit: while one transaction commits, the calls that arrive are collected for the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from ipamd.backends.interface import Backend, ConstraintViolated, Transaction
from ipamd.engine.call import BlockWanted, Call, Lacking, Verdict
from ipamd.engine.carving import Carver
from ipamd.engine.catalogue import Catalogue, CatalogueChanged
from ipamd.engine.clock import Clock
from ipamd.engine.settle import settle
from ipamd.models.errors import DomainError, Unavailable
from ipamd.models.identity import Digest
from ipamd.models.outcome import Outcome, Refused

LARGEST_BATCH: Final = 256
LONGEST_QUEUE: Final = 20_000

ATTEMPTS: Final = 8
"""How often one batch is settled when the catalogue changes under it."""

VIOLATIONS: Final = 2
"""How often a batch may violate a constraint before its calls are settled one by one."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    """A call whose caller waits until `deadline`, in the event loop's time."""

    call: Call
    deadline: float
    answer: asyncio.Future[Outcome]


class Batching:
    """The queue before the database. As many batches are under way as the backend has lanes."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        catalogue: Callable[[], Catalogue],
        refresh: Callable[[], Awaitable[Catalogue]],
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._catalogue = catalogue
        self._refresh = refresh
        self._carver = Carver()
        self._queue: deque[_Waiting] = deque()
        self._busy: set[Digest] = set()
        self._arrived = asyncio.Event()
        self._closing = False
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(backend.lanes)]

    async def submit(self, call: Call, patience: float) -> Outcome:
        """Queue a call and wait for its outcome; `patience` in seconds bounds the time in the queue."""
        if self._closing or len(self._queue) >= LONGEST_QUEUE:
            why = "ipamd is stopping" if self._closing else f"{LONGEST_QUEUE} calls wait already"
            return Refused(Unavailable(f"{why}: try again"))
        loop = asyncio.get_running_loop()
        waiting = _Waiting(call, loop.time() + patience, loop.create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def close(self) -> None:
        """Answer what was taken, and end."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._lanes)

    async def _lane(self) -> None:
        while not (self._closing and not self._queue):
            batch = self._collect()
            if batch:
                await self._answer(batch)
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _collect(self) -> list[_Waiting]:
        """The next batch: no two calls of one holder, none whose caller is gone or whose time ran out."""
        now = asyncio.get_running_loop().time()
        batch: list[_Waiting] = []
        held_back: list[_Waiting] = []
        while self._queue and len(batch) < LARGEST_BATCH:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            if waiting.deadline <= now:
                waiting.answer.set_result(Refused(Unavailable("the time ran out while the call waited")))
            elif waiting.call.digest in self._busy:
                held_back.append(waiting)
            else:
                self._busy.add(waiting.call.digest)
                batch.append(waiting)
        self._queue.extendleft(reversed(held_back))
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        """Settle a batch and tell its callers; those that lack a block come first in the next one."""
        try:
            verdicts = await self._settle([waiting.call for waiting in batch])
            lacking = [
                (waiting, verdict)
                for waiting, verdict in zip(batch, verdicts, strict=True)
                if isinstance(verdict, Lacking)
            ]
            for waiting, verdict in zip(batch, verdicts, strict=True):
                if not isinstance(verdict, Lacking):
                    tell(waiting, verdict)
            if lacking:
                await self._carve([wanted for _, verdict in lacking for wanted in verdict.wanted])
                self._queue.extendleft(waiting for waiting, _ in reversed(lacking))
        except DomainError as error:
            for waiting in batch:
                tell(waiting, Refused(error))
        except Exception as error:
            log.exception("a batch failed", calls=len(batch))
            await self._answer_alone(batch, error)
        finally:
            self._busy.difference_update(waiting.call.digest for waiting in batch)
            self._arrived.set()

    async def _answer_alone(self, batch: list[_Waiting], error: Exception) -> None:
        """After a failure that no rule foresees: each call on its own, so that only a bad one fails."""
        if len(batch) > 1:
            for waiting in batch:
                await self._answer([waiting])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)

    async def _settle(self, calls: Sequence[Call]) -> Sequence[Verdict]:
        violations = 0
        for _ in range(ATTEMPTS):
            catalogue = self._catalogue()
            work = partial(self._settle_once, calls, catalogue)
            try:
                return await self._backend.transact(work)
            except CatalogueChanged:
                await self._refresh()
            except ConstraintViolated:
                violations += 1
                if violations == VIOLATIONS:
                    break
        if len(calls) > 1:
            return [verdict for call in calls for verdict in await self._settle([call])]
        return [Refused(Unavailable("the database was changed by others at every attempt: try again"))]

    async def _settle_once(
        self, calls: Sequence[Call], catalogue: Catalogue, transaction: Transaction
    ) -> Sequence[Verdict]:
        carved_out = self._carver.carved_out(catalogue)
        return await settle(calls, transaction, catalogue, carved_out, self._clock())

    async def _carve(self, wanted: Sequence[BlockWanted]) -> None:
        for _ in range(ATTEMPTS):
            catalogue = self._catalogue()
            work = partial(self._carve_once, wanted, catalogue)
            try:
                self._carver.remember(await self._backend.transact(work), catalogue)
            except CatalogueChanged:
                await self._refresh()
            else:
                return
        raise Unavailable("the pools changed at every attempt to carve a block: try again")

    async def _carve_once(
        self, wanted: Sequence[BlockWanted], catalogue: Catalogue, transaction: Transaction
    ) -> Set[str]:
        return await self._carver.carve(wanted, transaction, catalogue)


def tell(waiting: _Waiting, outcome: Outcome) -> None:
    """Answer a caller that still waits."""
    if not waiting.answer.done():
        waiting.answer.set_result(outcome)
