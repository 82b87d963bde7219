"""A change of the catalogue: lock it, read it, write it, and load it in this process at once."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import structlog

from ipamd.backends.interface import Backend, CatalogueChange, Change, Undone
from ipamd.engine.acting import who_acts
from ipamd.engine.administration.recording import RecordedChange
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.models.catalogue import Snapshot

T = TypeVar("T")

WAIT_SECONDS: Final = 3.0
"""How long others' transactions are waited for, before a later look goes on."""

PAUSE: Final = 0.02

log = structlog.get_logger()


class CatalogueWriter:
    """The part that all changes of the catalogue share: one after another, each whole or not at all.

    Each is in the change log, in the transaction that makes it.
    """

    def __init__(
        self, backend: Backend, cache: CatalogueCache, announcements: Announcements, clock: Clock
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._announcements = announcements
        self._clock = clock

    async def _begin(self, catalogue: CatalogueChange) -> tuple[int, Snapshot]:
        """Lock the catalogue, then read it. Nobody else changes it before this change ends."""
        revision = await catalogue.raise_revision()
        return revision, await catalogue.load(self._cache.catalogue.snapshot)

    async def _change(self, change: Change[T]) -> T:
        at, by = self._clock(), who_acts()

        async def logged(catalogue: CatalogueChange) -> T | Undone[T]:
            recorded = RecordedChange(catalogue, at, by)
            answer = await change(recorded)
            if not isinstance(answer, Undone):
                await recorded.flush()
            return answer

        changed = await self._backend.change(logged)
        await self._cache.refresh()
        self._announcements.ring()
        return changed

    async def _all_before_has_ended(self, what: str) -> bool:
        """Whether all transactions have ended that may not know the last change; the log says what waits."""
        clock = asyncio.get_running_loop().time
        mark, until = await self._backend.mark(), clock() + WAIT_SECONDS
        while not await self._backend.has_passed(mark):
            if clock() > until:
                log.warning(f"transactions go on that began before {what}")
                return False
            await asyncio.sleep(PAUSE)
        return True
