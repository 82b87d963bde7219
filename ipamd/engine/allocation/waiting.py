"""Allocations that wait for room: this replica's own waiters, and the line of all as it is seen here.

Decision 44 says why it is done so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog
from msgspec import structs

from ipamd.backends.interface import InDoubt, Line
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.line import before, blocked, lacks, may_try, narrowed, pools_of, takes
from ipamd.engine.allocation.pulse import Pulse
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.measures import Measures
from ipamd.models.allocation import Ending
from ipamd.models.errors import DomainError, NothingFree, Unavailable
from ipamd.models.identity import Owner
from ipamd.models.instant import SECOND
from ipamd.models.limits import MOST_WAITERS
from ipamd.models.outcome import Granted, Outcome, Refused
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.waiter import Waiter

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the line while anybody waits here."""

LOOK_UNASKED: Final = 2.0
"""Seconds between two looks while nobody does: somebody must see whose replica is gone."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds between two looks, however much this process frees."""

TRY_EVERY: Final = 1.0
"""Seconds after which who is first tries again unasked: others' releases, cooldowns, changes of admins."""

TRY_AGAIN_AFTER: Final = 0.2
"""Seconds between two tries of one waiter, however much this process frees."""

TRY_SECONDS: Final = 5.0
"""How long one try waits for locks, and for nodes that are to give back what they hold in advance."""

RENEW_EVERY: Final = 2.0
WORD_LASTS: Final = 4.0
"""Seconds after which a replica that could not renew its waiters lets none of them try."""

HAS_GONE: Final = "its caller had gone when the address came"

Ask = Callable[[AllocationRequest], Awaitable[Outcome]]
MakeRequest = Callable[[Catalogue], AllocationRequest]
"""Makes a request with the pools that there are now."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waited:
    """What became of an allocation that might wait: after how many seconds, with how many still before it."""

    outcome: Outcome
    seconds: float = 0.0
    before: int = 0


@dataclass(slots=True)
class _Own:
    """One of this replica's. Its time is over at `deadline` of the event loop; `number` is its place."""

    make: MakeRequest
    gone: asyncio.Future[None]
    deadline: float
    taken: tuple[str, ...] = ()
    lacked: tuple[str, ...] = ()
    number: int | None = None
    stood: bool = False
    tried_at: float = -TRY_EVERY
    refused: Refused | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Waiting:
    """Lets allocations wait in one line over all replicas. See decision 44."""

    def __init__(
        self,
        line: Line,
        allocator: Allocator,
        ask: Ask,
        cache: CatalogueCache,
        clock: Clock,
        bell: FreedBell,
        measures: Measures,
    ) -> None:
        self._line = line
        self._allocator = allocator
        self._ask = ask
        self._cache = cache
        self._clock = clock
        self._bell = bell
        self._measures = measures
        self._replica = uuid4().hex
        self._own: dict[int, _Own] = {}
        self._leaving: set[int] = set()
        self._turn = asyncio.Lock()
        self._pulse = Pulse()
        self._renewed = 0.0
        self._ended = False
        self.waiters: Sequence[Waiter] = ()
        """The line as it was last seen."""

    @property
    def own(self) -> int:
        """How many wait on this replica."""
        return len(self._own)

    async def allocate(self, make: MakeRequest, seconds: float, gone: asyncio.Future[None]) -> Waited:
        """Allocate, and wait for room at most so many seconds, or until the caller has `gone`.

        Raises Unavailable, InDoubt.
        """
        began = self._now()
        own = _Own(make, gone, began + seconds)
        gone.add_done_callback(lambda _: own.wake.set())
        try:
            outcome = await self._served(own)
            if isinstance(outcome, Granted) and gone.done():
                await self._give_back(own, outcome)
            passed_by = before(self.waiters, own.taken, own.number)
        finally:
            self._leave(own)
        if own.stood:
            self._measures.waits[self._word(own, outcome)] += 1
        return Waited(outcome, self._now() - began, passed_by)

    def end(self) -> None:
        """Let everybody go who waits, now and later: the process ends."""
        self._ended = True
        for own in self._own.values():
            own.wake.set()

    async def close(self) -> None:
        """Take what is left of this replica out of the line."""
        try:
            await self._line.leave([*self._own, *self._leaving])
        except (DomainError, InDoubt) as error:
            log.warning("waiters could not leave the line: other replicas remove them", error=str(error))

    def count_for(self, pool: str) -> int:
        """How many may be served by a pool, as the line was last seen."""
        return sum(1 for waiter in self.waiters if pool in waiter.pools)

    async def read(self) -> Sequence[Waiter]:
        """The line as it is now. Raises Unavailable."""
        return await self._line.read()

    async def run(self) -> None:
        """Look at the line again and again, until cancelled."""
        silent = False
        while True:
            await self._rest()
            try:
                await self.look()
            except (DomainError, InDoubt) as error:
                if not silent:
                    log.warning("the line of waiters cannot be read; ipamd tries again", error=str(error))
                silent = True
            else:
                silent = False

    async def look(self) -> None:
        """See who is in the line, and wake those whose turn it is. Raises Unavailable, InDoubt."""
        async with self._turn:
            left = list(self._leaving)
            if left:
                await self._line.leave(left)
                self._leaving.difference_update(left)
            now = self._now()
            if self._own and now - self._renewed >= RENEW_EVERY:
                await self._line.renew(self._replica)
                self._renewed = now
            found = await self._line.read()
            dead = self._pulse.dead([one for one in found if one.replica != self._replica], now)
            if dead:
                await self._line.leave(dead)
                log.warning("waiters of a replica that is gone left the line", waiters=len(dead))
            self._see([one for one in found if one.number not in dead])

    def _see(self, waiters: Sequence[Waiter]) -> None:
        """Take in the line, and wake who is to try or has lost its place."""
        if _places(waiters) != _places(self.waiters):
            self._bell.rung_at = self._now()
        self.waiters = waiters
        lost, lacked, now = dict(self._own), set[str](), self._now()
        for waiter in waiters:
            own = lost.pop(waiter.number, None)
            if own is not None and self._is_due(own, now) and may_try(own.taken, lacked & {*own.taken}):
                own.wake.set()
            lacked.update(waiter.lacks)
        for number, own in lost.items():
            del self._own[number]
            own.number = None
            own.wake.set()

    def _is_due(self, own: _Own, now: float) -> bool:
        pause = TRY_AGAIN_AFTER if own.tried_at <= self._bell.rung_at else TRY_EVERY
        return now - own.tried_at >= pause

    async def _rest(self) -> None:
        """Wait until something was freed here or somebody came or went; not for long while anybody waits."""
        self._bell.listened = bool(self._own)
        await asyncio.sleep(SHORTEST_PAUSE)
        try:
            async with asyncio.timeout(LOOK_EVERY if self._own else LOOK_UNASKED):
                await self._bell.rung.wait()
        except TimeoutError:
            return  # time to look what others have done
        self._bell.rung.clear()

    async def _served(self, own: _Own) -> Outcome:
        """What becomes of one within its time."""
        await self.look()
        while True:
            if self._ended:
                return Refused(Unavailable("ipamd is stopping: ask again"))
            if own.gone.done():
                return Refused(Unavailable("the caller has gone"))
            outcome = await self._decided(own)
            if outcome is not None:
                return outcome
            if own.number is None:
                refused = await self._enter(own)
                if refused is not None:
                    return refused
            else:
                await self._sleep(own)

    async def _decided(self, own: _Own) -> Outcome | None:
        """Try, if it is one's turn. None if one is to wait on."""
        catalogue = self._cache.catalogue
        try:
            request = own.make(catalogue)
            own.taken = takes(request, catalogue)
        except DomainError as error:
            return Refused(error)
        theirs = blocked(self.waiters, own.taken, own.number)
        lacked = own.lacked or theirs
        if self._has_a_place(own) and may_try(own.taken, theirs):
            outcome = await self._try(own, narrowed(request, theirs))
            if not isinstance(outcome, Refused):
                return outcome
            mine = lacks(outcome.error, own.taken)
            if not mine:
                return outcome
            own.refused, lacked = outcome, tuple(name for name in own.taken if name in mine + theirs)
        if self._now() >= own.deadline:
            return own.refused or await self._last_word(request)
        if lacked != own.lacked:
            own.lacked = lacked
            if own.number is not None:
                await self._line.change(own.number, lacked)
        return None

    async def _try(self, own: _Own, request: AllocationRequest) -> Outcome:
        own.tried_at = self._now()
        left = max(own.deadline - own.tried_at, 1.0)
        return await self._ask(structs.replace(request, timeout=min(TRY_SECONDS, left)))

    def _has_a_place(self, own: _Own) -> bool:
        """Whether one's replica is known to live: else others may have removed one from the line."""
        return own.number is None or self._now() - self._renewed < WORD_LASTS

    async def _enter(self, own: _Own) -> Refused | None:
        """Stand at the end of the line. What came before is seen before one tries again."""
        async with self._turn:
            now, began = self._now(), self._clock()
            waiter = Waiter(
                replica=self._replica,
                owner=_named(own.make(self._cache.catalogue)),
                pools=pools_of(own.taken),
                lacks=own.lacked,
                since=began,
                until=began + round((own.deadline - now) * SECOND),
            )
            number = await self._line.enter(waiter, MOST_WAITERS)
            if number is None:
                return Refused(Unavailable(f"{MOST_WAITERS} allocations wait already: ask again later"))
            if not self._own:
                self._renewed = now  # the row itself is a word of this replica
            own.number, own.stood = number, True
            self._own[number] = own
        await self.look()
        self._bell.listened = True
        self._bell.rung.set()
        return None

    async def _sleep(self, own: _Own) -> None:
        try:
            async with asyncio.timeout_at(own.deadline):
                await own.wake.wait()
        except TimeoutError:
            return  # its time is over
        own.wake.clear()

    async def _last_word(self, request: AllocationRequest) -> Outcome:
        """Why one that never came to try got nothing."""
        outcome = await self._allocator.dry_run(request)
        if isinstance(outcome, Refused):
            return outcome
        pools = tuple(grant.pool.name for grant in outcome.grants)
        return Refused(NothingFree(pools, "what is free is for those who wait before"))

    async def _give_back(self, own: _Own, granted: Granted) -> None:
        """Release what nobody is told of, unless its caller can find it by a key or by the owner's name."""
        request = own.make(self._cache.catalogue)
        if granted.repeated or request.idempotency is not None or request.for_owner is not None:
            return
        await self._allocator.submit(
            Release(digest=request.digest, ending=Ending.ADMIN, by="ipamd", reason=HAS_GONE)
        )

    def _leave(self, own: _Own) -> None:
        if own.number is not None:
            self._own.pop(own.number, None)
            self._leaving.add(own.number)
            self._bell.ring()

    def _word(self, own: _Own, outcome: Outcome) -> str:
        """What became of one, in a word, for metrics."""
        if own.gone.done():
            return "gone"
        if isinstance(outcome, Granted):
            return "served"
        return "stopped" if self._ended else "refused"

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _named(request: AllocationRequest) -> str:
    """Whom an allocation is for, as lists name it."""
    name = request.holder.name if isinstance(request.holder, Owner) else request.holder.container_id
    return name if request.for_owner is None else f"{request.workload.namespace}/{name}"


def _places(waiters: Sequence[Waiter]) -> list[tuple[int, tuple[str, ...]]]:
    return [(waiter.number, waiter.lacks) for waiter in waiters]
