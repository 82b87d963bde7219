"""Settles calls again, within bounds, if others changed what they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from functools import partial
from typing import Final, TypeVar

from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    InDoubt,
    LockPolicy,
    TallyMoved,
    Transaction,
    Undone,
    WaitForLocks,
    Work,
)
from ipamd.engine.allocation.call import AllocateCall, Call, NeedsBlock, NeedsBlocks, Verdict
from ipamd.engine.allocation.carving import Carver
from ipamd.engine.allocation.carving_ahead import CarvingAhead
from ipamd.engine.allocation.dry_run import dry_run
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.settle import Settled, settle
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.measures import Measures
from ipamd.models.errors import Unavailable
from ipamd.models.outcome import Granted, Refused

T = TypeVar("T")

ATTEMPTS: Final = 8
"""How often calls are settled, or blocks carved, if the catalogue changes meanwhile."""

VIOLATIONS: Final = 2
"""How often a batch may violate a constraint before its calls are settled one by one."""

DOUBTS: Final = 3
"""How often a commit may remain unanswered before the callers are told of the doubt."""


class Attempts:
    """Units of work with the current catalogue."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        cache: CatalogueCache,
        measures: Measures,
        announcements: Announcements,
        freed: FreedBell,
    ) -> None:
        self._announcements = announcements
        self._freed = freed
        self._ahead = CarvingAhead(backend.ledger, self.carve)
        self._backend = backend
        self._clock = clock
        self._cache = cache
        self._measures = measures
        self._carver = Carver()

    async def close(self) -> None:
        """Wait for what is done beside the calls."""
        await self._ahead.close()

    async def settle(self, calls: Sequence[Call], locks: LockPolicy = SKIP_LOCKS) -> Sequence[Verdict]:
        """A verdict for each call, durably. Raises Unavailable, InDoubt.

        After a commit in doubt the calls are settled again: their holders show what it did.
        """
        violations = doubts = 0
        clock = asyncio.get_running_loop().time
        deadline = clock() + locks.seconds if isinstance(locks, WaitForLocks) else None
        for _ in range(ATTEMPTS):
            catalogue = self._cache.catalogue
            work = partial(self._settle_once, calls, catalogue)
            policy = SKIP_LOCKS if deadline is None else WaitForLocks(deadline - clock())
            try:
                return self._after(await self._transact(work, policy))
            except (StaleCatalogue, CatalogueMoved):
                self._measures.retries["catalogue"] += 1
                await self._cache.refresh()
            except TallyMoved:
                self._measures.retries["quota"] += 1
            except ConstraintViolated:
                self._measures.retries["constraint"] += 1
                violations += 1
                if violations == VIOLATIONS:
                    break
                await self._cache.refresh()  # what violates may come of pools that are others by now
            except InDoubt:
                self._measures.retries["doubt"] += 1
                doubts += 1
                if doubts == DOUBTS:
                    raise
            except Unavailable as error:
                if doubts:
                    raise InDoubt(str(error)) from error  # what went before may have been kept
                raise
        if doubts:
            raise InDoubt("after a commit in doubt others changed the database at every attempt")
        if len(calls) > 1:
            return [verdict for call in calls for verdict in await self.settle([call], locks)]
        return [Refused(Unavailable("others changed the database at every attempt: try again"))]

    def _after(self, settled: Settled) -> Sequence[Verdict]:
        """Go on with what follows from a durable batch, beside its callers."""
        if settled.announces:
            self._announcements.ring()
        if settled.nearly_full:
            self._ahead.look_after(settled.nearly_full)
        if self._freed.listened:
            self._freed.hear(settled.verdicts)
        return settled.verdicts

    async def dry_run(self, call: AllocateCall, locks: LockPolicy) -> Granted | Refused:
        """What would become of a call, with nothing taken; raises Unavailable."""
        lacking: tuple[Sequence[NeedsBlock], ...] = ()
        for _ in range(ATTEMPTS):
            catalogue = self._cache.catalogue
            work: Work[Verdict] = partial(self._dry_run_once, call, lacking, catalogue)
            try:
                # A transaction that carves must not wait for blocks or holders: others who carve wait for it.
                verdict = await self._transact(work, SKIP_LOCKS if lacking else locks)
            except StaleCatalogue:
                await self._cache.refresh()
                continue
            if isinstance(verdict, Granted | Refused):
                return verdict
            lacking = (*lacking, verdict.wanted) if isinstance(verdict, NeedsBlocks) else ()
        return Refused(Unavailable("the pools changed at every attempt: try again"))

    async def carve(self, wanted: Sequence[NeedsBlock]) -> None:
        """Carve the blocks that calls need, or learn that there are none. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            catalogue = self._cache.catalogue
            work = partial(self._carve_once, wanted, catalogue)
            self._measures.carvings += 1
            try:
                self._carver.remember(await self._transact(work), catalogue)
            except StaleCatalogue:
                await self._cache.refresh()
            else:
                self._announcements.ring()
                return
        raise Unavailable("the pools changed at every attempt to carve a block: try again")

    async def _transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> T:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            return await self._backend.transact(work, locks)
        except Unavailable as error:
            self._measures.failures[error.cause] += 1
            raise
        finally:
            self._measures.database_seconds.observe(clock() - began)

    async def _settle_once(
        self, calls: Sequence[Call], catalogue: Catalogue, transaction: Transaction
    ) -> Settled:
        carved_out = self._carver.carved_out(catalogue)
        return await settle(calls, transaction, catalogue, carved_out, self._clock.read())

    async def _dry_run_once(
        self,
        call: AllocateCall,
        lacking: Sequence[Sequence[NeedsBlock]],
        catalogue: Catalogue,
        transaction: Transaction,
    ) -> Undone[Verdict]:
        carver, carved_out = self._carver.rehearsing(), self._carver.carved_out(catalogue)
        return await dry_run(call, lacking, carver, transaction, catalogue, carved_out, self._clock.read())

    async def _carve_once(
        self, wanted: Sequence[NeedsBlock], catalogue: Catalogue, transaction: Transaction
    ) -> Set[str]:
        carved_out = await self._carver.carve(wanted, transaction, catalogue)
        await transaction.write(Changes(announced=self._carver.announced(wanted, catalogue)))
        return carved_out
