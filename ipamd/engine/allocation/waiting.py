"""An allocation that waits for room: it tries when it is its turn, until it is served or its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from ipamd.backends.interface import Line
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.line import before, blocked, lacks, may_try, narrowed, takes
from ipamd.engine.allocation.places import Place, Places
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.measures import Measures
from ipamd.models.allocation import Ending
from ipamd.models.errors import AddressUnavailable, DomainError, NothingFree, Unavailable
from ipamd.models.identity import Owner
from ipamd.models.instant import SECOND
from ipamd.models.limits import MOST_WAITERS
from ipamd.models.outcome import Granted, Outcome, Refused
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.waiter import Waiter

TRY_SECONDS: Final = 5.0
"""How long one try waits for locks, and for nodes that are to give back what they hold in advance."""

HAS_GONE: Final = "its caller had gone when the address came"

Ask = Callable[[AllocationRequest], Awaitable[Outcome]]
MakeRequest = Callable[[Catalogue], AllocationRequest]
"""Makes a request with the pools that there are now."""


@dataclass(frozen=True, slots=True)
class Waited:
    """What became of an allocation that might wait: after how many seconds, with how many still before it.

    `stood` says whether it stood in the line at all.
    """

    outcome: Outcome
    seconds: float = 0.0
    before: int = 0
    stood: bool = False


@dataclass(slots=True)
class _Own:
    """One of this replica's. Its time is over at `deadline` of the event loop."""

    make: MakeRequest
    gone: asyncio.Future[None]
    deadline: float
    place: Place = field(default_factory=Place)
    refused: Refused | None = None


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
        self._measures = measures
        self._places = Places(line, cache, bell)
        self._ended = False

    @property
    def own(self) -> int:
        """How many wait on this replica."""
        return len(self._places)

    async def allocate(self, make: MakeRequest, seconds: float, gone: asyncio.Future[None]) -> Waited:
        """Allocate, and wait for room at most so many seconds, or until the caller has `gone`.

        Raises Unavailable, InDoubt.
        """
        began = _now()
        own = _Own(make, gone, began + seconds)
        place = own.place
        gone.add_done_callback(lambda _: place.wake.set())
        try:
            outcome = await self._served(own)
            if isinstance(outcome, Granted) and gone.done():
                await self._give_back(own, outcome)
            passed_by = before(self._places.waiters, place.taking.names, place.number)
        finally:
            self._places.leave(place)
        if place.stood:
            self._measures.waits[self._word(own, outcome)] += 1
        return Waited(outcome, _now() - began, passed_by, place.stood)

    def end(self) -> None:
        """Let everybody go who waits, now and later: the process ends."""
        self._ended = True
        self._places.wake_all()

    async def close(self) -> None:
        """Take what is left of this replica out of the line."""
        await self._places.close()

    def count_for(self, pool: str) -> int:
        """How many may be served by a pool, as the line was last seen."""
        return sum(1 for waiter in self._places.waiters if pool in waiter.pools)

    async def read(self) -> Sequence[Waiter]:
        """The line as it is now. Raises Unavailable."""
        return await self._line.read()

    async def run(self) -> None:
        """Look at the line again and again, until cancelled."""
        await self._places.run()

    async def _served(self, own: _Own) -> Outcome:
        """What becomes of one within its time."""
        await self._places.look()
        while True:
            if self._ended:
                return Refused(Unavailable("ipamd is stopping: ask again"))
            if own.gone.done():
                return Refused(Unavailable("the caller has gone"))
            outcome = await self._decided(own)
            if outcome is not None:
                return outcome
            if own.place.number is not None:
                await self._sleep(own)
            elif (refused := await self._enter(own)) is not None:
                return refused

    async def _decided(self, own: _Own) -> Outcome | None:
        """Try, if it is one's turn. None if one is to wait on."""
        catalogue, place = self._cache.catalogue, own.place
        try:
            request = own.make(catalogue)
            place.taking, place.known = takes(request, catalogue), catalogue.revision
        except DomainError as error:
            return Refused(error)
        taken = place.taking.names
        theirs = blocked(self._places.waiters, taken, place.number)
        lacked = place.lacked or theirs
        if self._places.may_be_tried(place) and may_try(place.taking, theirs):
            outcome = await self._try(own, narrowed(request, place.taking, theirs))
            if not isinstance(outcome, Refused):
                return outcome
            mine = () if self._is_in_vain(own, outcome.error) else lacks(outcome.error, taken)
            if not mine:
                return outcome
            closed = place.taking.closed(theirs)  # and not tried: it may have room
            lacking = {*theirs, *(name for name in mine if name not in closed)}
            own.refused, lacked = outcome, tuple(name for name in taken if name in lacking)
        if _now() >= own.deadline:
            return own.refused or await self._last_word(request)
        await self._places.change(place, lacked)
        return None

    async def _try(self, own: _Own, request: AllocationRequest) -> Outcome:
        own.place.tried_at = _now()
        left = max(own.deadline - own.place.tried_at, 1.0)
        return await self._ask(structs.replace(request, timeout=min(TRY_SECONDS, left)))

    def _is_in_vain(self, own: _Own, error: DomainError) -> bool:
        """Whether an address is not to be had before one's time is over."""
        if not isinstance(error, AddressUnavailable) or error.until is None:
            return False
        return error.until - self._clock() > (own.deadline - _now()) * SECOND

    async def _enter(self, own: _Own) -> Refused | None:
        """Stand at the end of the line, unless too many do."""
        since = self._clock()
        until = since + round((own.deadline - _now()) * SECOND)
        owner = _named(own.make(self._cache.catalogue))
        if await self._places.enter(own.place, owner, since, until):
            return None
        return Refused(Unavailable(f"{MOST_WAITERS} allocations wait already: ask again later"))

    async def _sleep(self, own: _Own) -> None:
        wake = own.place.wake
        try:
            async with asyncio.timeout_at(own.deadline):
                await wake.wait()
        except TimeoutError:
            return  # its time is over
        wake.clear()

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

    def _word(self, own: _Own, outcome: Outcome) -> str:
        """What became of one, in a word, for metrics."""
        if own.gone.done():
            return "gone"
        if isinstance(outcome, Granted):
            return "served"
        return "stopped" if self._ended else "refused"


def _named(request: AllocationRequest) -> str:
    """Whom an allocation is for, as lists name it."""
    name = request.holder.name if isinstance(request.holder, Owner) else request.holder.container_id
    return name if request.for_owner is None else f"{request.workload.namespace}/{name}"


def _now() -> float:
    return asyncio.get_running_loop().time()
