"""Group commit: while one transaction commits, the calls that arrive are collected for the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from ipamd.backends.interface import SKIP_LOCKS, InDoubt, LockPolicy, WaitForLocks
from ipamd.engine.allocation.attempts import Attempts
from ipamd.engine.allocation.call import Call, Contended, NeedsBlocks, Verdict
from ipamd.engine.allocation.queue import CallQueue, QueuedCall
from ipamd.engine.measures import Measures
from ipamd.models.errors import DomainError, Unavailable
from ipamd.models.identity import Digest
from ipamd.models.outcome import Outcome, Refused

LARGEST_BATCH: Final = 256
MISSES: Final = 6
"""In how many batches a call may miss a lock. Usually our own other batches have it, and end soon."""

WAITING_CALLS: Final = 4
"""How many calls at once are settled alone, waiting for locks."""

log = structlog.get_logger()


class Batching:
    """The queue before the database.

    At most `lanes` batches are under way at once. Beside them a small lane settles calls alone that missed a
    lock: it waits for locks.
    """

    def __init__(self, attempts: Attempts, lanes: int, measures: Measures) -> None:
        self._loop = asyncio.get_running_loop()
        self._attempts = attempts
        self._measures = measures
        self._queue = CallQueue()
        self._busy: set[Digest] = set()
        self._arrived = asyncio.Event()
        self._closing = False
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(lanes)]
        self._waiting_lane = asyncio.Semaphore(WAITING_CALLS)
        self._alone: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many calls wait for a batch."""
        return len(self._queue)

    def submit(self, call: Call, timeout: float) -> asyncio.Future[Outcome]:
        """Queue a call, whose outcome is to be awaited. `timeout` in seconds limits its time in the queue.

        Raises Unavailable if it cannot be queued.
        """
        if self._closing:
            raise Unavailable("ipamd is stopping: try again")
        deadline = self._loop.time() + timeout
        waiting = QueuedCall(call, call.holders, deadline, self._loop.create_future())
        self._queue.put(waiting)
        self._arrived.set()
        return waiting.answer

    async def close(self) -> None:
        """Answer the calls under way, and end."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._lanes)

    async def _lane(self) -> None:
        while not (self._closing and not self._queue and not self._busy):
            batch = self._collect()
            if batch:
                await self._answer(batch)
            else:
                self._arrived.clear()
                await self._arrived.wait()
        self._arrived.set()  # for the other lanes

    def _collect(self) -> list[QueuedCall]:
        """The next batch: no two calls of one holder, no call whose caller is gone or whose time is over."""
        now = self._loop.time()
        batch: list[QueuedCall] = []
        held_back: list[QueuedCall] = []
        while self._queue and len(batch) < LARGEST_BATCH:
            waiting = self._queue.take()
            if waiting.answer.done():
                continue
            if waiting.deadline <= now:
                waiting.tell_out_of_time()
            elif not self._busy.isdisjoint(waiting.holders):
                held_back.append(waiting)
            else:
                self._busy.update(waiting.holders)
                batch.append(waiting)
        self._queue.put_back(held_back)
        return batch

    async def _answer(self, batch: list[QueuedCall], locks: LockPolicy = SKIP_LOCKS) -> None:
        """Settle a batch, and answer its callers whatever happens."""
        self._measures.batch_calls.observe(len(batch))
        contended: list[QueuedCall] = []
        try:
            verdicts = await self._attempts.settle([waiting.call for waiting in batch], locks)
            contended = await self._tell_all(batch, verdicts)
        except DomainError as error:
            for waiting in batch:
                waiting.tell(Refused(error))
        except InDoubt as doubt:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(doubt)
        except Exception as error:
            log.exception("a batch failed", calls=len(batch))
            await self._answer_alone(batch, error)
        finally:
            self._busy.difference_update(*(waiting.holders for waiting in batch))
            self._busy.update(*(waiting.holders for waiting in contended))
            self._arrived.set()
        self._measures.contended += len(contended)
        for waiting in contended:
            task = asyncio.create_task(self._answer_alone_waiting(waiting))
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)

    async def _tell_all(self, batch: Sequence[QueuedCall], verdicts: Sequence[Verdict]) -> list[QueuedCall]:
        """Tell what is decided. What lacks a block is the next of its node; the contended are left."""
        lacking: list[tuple[QueuedCall, NeedsBlocks]] = []
        missed: list[QueuedCall] = []
        contended: list[QueuedCall] = []
        for waiting, verdict in zip(batch, verdicts, strict=True):
            match verdict:
                case NeedsBlocks():
                    lacking.append((waiting, verdict))
                case Contended():
                    waiting.misses += 1
                    (missed if waiting.misses < MISSES else contended).append(waiting)
                case _:
                    waiting.tell(verdict)
        self._queue.put_back(missed)
        if lacking:
            await self._attempts.carve([wanted for _, verdict in lacking for wanted in verdict.wanted])
            self._queue.put_back(waiting for waiting, _ in lacking)
        return contended

    async def _answer_alone_waiting(self, waiting: QueuedCall) -> None:
        async with self._waiting_lane:
            left = waiting.deadline - self._loop.time()
            if left > 0:
                await self._answer([waiting], WaitForLocks(left))
                return
        waiting.tell_out_of_time()
        self._busy.difference_update(waiting.holders)
        self._arrived.set()

    async def _answer_alone(self, batch: list[QueuedCall], error: Exception) -> None:
        """After an unforeseen failure settle each call alone, so that only the bad one fails."""
        unanswered = [waiting for waiting in batch if not waiting.answer.done()]
        if len(batch) > 1:
            for waiting in unanswered:
                await self._answer([waiting])
        else:
            for waiting in unanswered:
                waiting.answer.set_exception(error)
