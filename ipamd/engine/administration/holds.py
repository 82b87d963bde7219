"""Holds as admins state them: made, changed, and ended (docs/decisions/0043-holds.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from ipamd.backends.interface import (
    Backend,
    CatalogueChange,
    CatalogueMoved,
    Changes,
    HoldSearch,
    InDoubt,
    Transaction,
    Undone,
    WaitForLocks,
)
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.administration.editing import Editing
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue import StaleCatalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.block import HELD
from ipamd.models.errors import DomainError, HoldUnfilled, NotFound, StaleRevision, Unavailable
from ipamd.models.hold import Hold, HoldState
from ipamd.models.instant import AHEAD, SECOND
from ipamd.models.outcome import Outcome, Refused
from ipamd.models.request import AllocationRequest

LOOK_EVERY: Final = 2.0
"""Seconds between two looks for holds whose time is over, or whose change was broken off. In memory only."""

FILL_SECONDS: Final = 30.0
"""How long a hold may take to be filled."""

BROKEN_OFF: Final = 40
"""A hold that is not filled after so many seconds is of a process that is gone."""

LOCKS: Final = WaitForLocks(10.0)
AT_ONCE: Final = 256
"""How many addresses one transaction gives back: others wait for their blocks meanwhile."""

ATTEMPTS: Final = 8
"""How often that is tried if the catalogue changes meanwhile."""

Allocate = Callable[[AllocationRequest], Awaitable[Outcome]]

log = structlog.get_logger()


class Holds(CatalogueWriter):
    """The changes that admins may make of holds. Each process goes on with what another left."""

    def __init__(
        self,
        backend: Backend,
        cache: CatalogueCache,
        announcements: Announcements,
        clock: Clock,
        allocate: Allocate,
    ) -> None:
        super().__init__(backend, cache, announcements, clock)
        self._allocate = allocate

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await go_on(self.finish, LOOK_EVERY, "holds could not be filled or ended; ipamd tries again")

    async def create(self, hold: Hold) -> Hold:
        """Make a hold that has all its addresses. `since` is the present.

        Raises InvalidValue, PoolUnknown, HoldExists; HoldUnfilled if there are not as many free, and then
        there is no hold.
        """

        async def begin(catalogue: CatalogueChange) -> Hold:
            editing = Editing(catalogue, *await self._begin(catalogue))
            return await editing.create_hold(replace(hold, since=self._clock()))

        return await self._fill(await self._change(begin))

    async def edit(self, name: str, edit: Callable[[Hold], Hold], expected: int | None) -> Hold:
        """Replace a hold by the result of `edit`, if it is at revision `expected` (None: at any).

        Its size and its pool stay. Raises NotFound, StaleRevision, InvalidValue, and what `edit` raises.
        """

        async def change(catalogue: CatalogueChange) -> Hold:
            editing = Editing(catalogue, *await self._begin(catalogue))
            return await editing.edit_hold(_entry(editing.holds.get(name), name, expected), edit)

        return await self._change(change)

    async def release(self, name: str, expected: int | None) -> None:
        """End a hold before its time: what is left goes back to the pool. Raises NotFound, StaleRevision."""

        async def check(catalogue: CatalogueChange) -> Undone[Hold] | Hold:
            _, snapshot = await self._begin(catalogue)
            hold = _entry(snapshot.holds.get(name), name, expected)
            ending = replace(hold, state=HoldState.ENDING)
            await catalogue.save(ending)
            return ending

        await self._change(check)
        try:
            await self._finish_ending()
        except (DomainError, InDoubt) as error:
            log.warning("a hold could not end at once; ipamd tries again", hold=name, error=str(error))

    async def finish(self) -> None:
        """End holds whose time is over, go on with what was broken off. Raises Unavailable, InDoubt."""
        reading = self._clock.read()
        for hold in list(self._cache.catalogue.snapshot.holds.values()):
            if hold.since > reading.now + AHEAD:
                await self._set_back(hold)
            elif hold.state is HoldState.STANDING and hold.since <= reading.past(hold.span):
                found = await self._set_state(hold, HoldState.ENDING)
                if found is not None and found.state is HoldState.ENDING:
                    log.info("hold", outcome="its time is over", hold=hold.name)
            elif hold.state is HoldState.FILLING and hold.since <= reading.past(BROKEN_OFF * SECOND):
                await self._fill_late(hold)
        await self._finish_ending()

    async def _set_back(self, hold: Hold) -> None:
        """Have a hold begin now that was made under a clock that was ahead: it would stand for years."""

        async def change(catalogue: CatalogueChange) -> Undone[bool] | bool:
            revision, snapshot = await self._begin(catalogue)
            known, now = snapshot.holds.get(hold.name), self._clock()
            if known is None or known.since <= now + AHEAD:
                return Undone(False)
            await catalogue.save(replace(known, since=now, revision=revision))
            return True

        if await self._change(change):
            log.warning("a hold was made under a clock that was ahead: its time begins now", hold=hold.name)

    async def _fill_late(self, hold: Hold) -> None:
        """Go on where the process ended that made a hold."""
        try:
            await self._fill(hold)
        except HoldUnfilled as refused:
            log.warning("hold", outcome="not filled", hold=hold.name, error=str(refused))

    async def _fill(self, hold: Hold) -> Hold:
        request = AllocationRequest(holder=hold.owner, hold=hold.name, timeout=FILL_SECONDS)
        outcome = await self._allocate(request)
        if isinstance(outcome, Refused):
            await self._set_state(hold, HoldState.ENDING)
            await self._finish_ending()
            raise HoldUnfilled(hold.name, hold.size, str(outcome.error))
        standing = await self._set_state(hold, HoldState.STANDING)
        if standing is None or standing.since != hold.since:
            raise NotFound("hold", hold.name)
        return standing

    async def _set_state(self, hold: Hold, state: HoldState) -> Hold | None:
        """Go on from the state of a hold to the next, unless another process has. None if it is gone.

        One whose time an admin has changed meanwhile stays as it is.
        """

        async def change(catalogue: CatalogueChange) -> Undone[Hold | None] | Hold | None:
            revision, snapshot = await self._begin(catalogue)
            known = snapshot.holds.get(hold.name)
            same = known is not None and (known.since, known.span) == (hold.since, hold.span)
            if known is None or not same or known.state is not hold.state:
                return Undone(known)
            changed = replace(known, state=state, revision=revision)
            await catalogue.save(changed)
            return changed

        return await self._change(change)

    async def _finish_ending(self) -> None:
        """Give back what is left of holds that end, then forget them."""
        holds = self._cache.catalogue.snapshot.holds.values()
        ending = [hold for hold in holds if hold.state is HoldState.ENDING]
        # A call that does not know yet that the hold ends may give it an address back.
        if not ending or not await self._all_before_has_ended(
            "a hold: what is left of it is given back later"
        ):
            return
        for hold in ending:
            count = await self._give_back(hold)
            await self._change(partial(self._remove, hold))
            log.info("hold", outcome="ended", hold=hold.name, left=count)

    async def _remove(self, hold: Hold, catalogue: CatalogueChange) -> Undone[None] | None:
        _, snapshot = await self._begin(catalogue)
        known = snapshot.holds.get(hold.name)
        if known is None or known.since != hold.since:
            return Undone(None)
        await catalogue.remove(known)
        return None

    async def _give_back(self, hold: Hold) -> int:
        """Give back all that is left of a hold, piece by piece. Returns how many addresses."""
        count, given = 0, AT_ONCE
        while given == AT_ONCE:
            given = await self._give_some_back(hold)
            count += given
        return count

    async def _give_some_back(self, hold: Hold) -> int:
        for _ in range(ATTEMPTS):
            try:
                return await self._backend.transact(partial(self._put_back, hold), LOCKS)
            except (StaleCatalogue, CatalogueMoved):
                await self._cache.refresh()
        raise Unavailable("the pools changed at every attempt to give back what is left of a hold: try again")

    async def _put_back(self, hold: Hold, transaction: Transaction) -> int:
        """Put some addresses back as free as they were when they were taken: nobody has used them."""
        catalogue = self._cache.catalogue
        await transaction.find([hold.owner.digest])
        [left] = await transaction.of_holds([HoldSearch(hold.owner.digest, HELD, AT_ONCE)])
        blocks = BatchBlocks(catalogue, self._clock.read())
        for row in left.rows:
            blocks.lacks(row.pool, row.block)
        searches = blocks.searches()
        blocks.receive(searches, await transaction.lock(searches))
        for row in left.rows:
            if blocks.lacks(row.pool, row.block) is not None:
                raise Unavailable(f"the block of {row.address} is locked: try again")
            blocks.put_back(row)
        dropped = [row.stored_id for row in left.rows]
        await transaction.write(
            Changes(dropped=dropped, blocks=blocks.changed(), decided_at=catalogue.revision)
        )
        return len(left.rows)


def _entry(hold: Hold | None, name: str, expected: int | None) -> Hold:
    """A hold that stands, at the revision that its editor has read."""
    if hold is None or hold.state is not HoldState.STANDING:
        raise NotFound("hold", name)
    if expected is not None and hold.revision != expected:
        raise StaleRevision(f"hold {name!r} has changed since you read it: read it again, then change it")
    return hold
