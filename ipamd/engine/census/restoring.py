"""After a database was put back: who is still to say what lives on it, and when all have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

import structlog

from ipamd.backends.interface import Backend, CatalogueChange
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.restoration import Restoration

SHORTEST: Final = 120 * SECOND
"""Two times as long as an agent rests at most between two looks. If less lies between two reports that free
an allocation, ipamd waits two times that."""

LOOK_EVERY: Final = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when nodes are waited for, None if they are not; who has not spoken, and who has conflicts."""

    began: Instant | None
    silent: Sequence[NodeKey] = ()
    conflicting: Sequence[NodeKey] = ()


class Restoring(CatalogueWriter):
    """The time between a database that was put back and the last node's word."""

    def __init__(
        self,
        backend: Backend,
        cache: CatalogueCache,
        announcements: Announcements,
        clock: Clock,
        grace: float,
    ) -> None:
        super().__init__(backend, cache, announcements, clock)
        self._shortest = min(SHORTEST, round(2 * grace * SECOND))

    async def begin(self) -> None:
        """Give nothing to anybody new from now on, unless that is so. Raises Unavailable, InDoubt."""
        began = self._clock()

        async def change(catalogue: CatalogueChange) -> bool:
            _, snapshot = await self._begin(catalogue)
            if snapshot.restoration.began is not None:
                return False
            await catalogue.save(Restoration(timeline=str(uuid4()), began=began))
            await catalogue.renew_epochs()
            return True

        if await self._change(change):
            log.warning("restore", outcome="begun", todo="see `ipamctl restore status`")

    async def finish(self) -> None:
        """Give addresses to all again. Raises Unavailable, InDoubt."""

        async def change(catalogue: CatalogueChange) -> bool:
            _, snapshot = await self._begin(catalogue)
            if snapshot.restoration.began is None:
                return False
            await catalogue.save(replace(snapshot.restoration, began=None))
            return True

        if await self._change(change):
            log.warning("restore", outcome="finished")

    async def standing(self) -> Standing:
        """Who is waited for. Raises Unavailable."""
        restoration = (await self._cache.refresh()).snapshot.restoration
        if restoration.began is None:
            return Standing(None)
        ledger = self._backend.ledger
        censuses = await ledger.censuses(None)
        spoken = {each.node: each for each in censuses if each.timeline == restoration.timeline}
        known = {census.node for census in censuses} | (await ledger.contacts()).keys()
        known |= {lease.node for lease in await ledger.leases(None)}
        conflicting = [node for node, census in spoken.items() if census.conflicts]
        return Standing(restoration.began, sorted(known - spoken.keys()), sorted(conflicting))

    async def run(self) -> None:
        """Finish when all have spoken, until cancelled."""
        await asyncio.sleep(LOOK_EVERY)
        await go_on(self._look, LOOK_EVERY, "the restore was not looked after; ipamd tries again")

    async def _look(self) -> None:
        if self._cache.catalogue.snapshot.restoration.began is None:
            return
        standing = await self.standing()
        if standing.began is None or standing.silent or standing.conflicting:
            return
        if standing.began <= self._clock.read().past(self._shortest):
            await self.finish()
