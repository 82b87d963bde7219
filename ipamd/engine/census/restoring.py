"""After a database was put back: who is still to say what lives on it, and when all have.

An admin says so, or ipamd sees it by what a node was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

import structlog

from ipamd.backends.interface import Backend, CatalogueChange, Undone
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.restoration import Restoration, order_of, timeline_after

SHORTEST: Final = 120 * SECOND
"""Two times as long as an agent rests at most between two looks. If less lies between two reports that free
an allocation, ipamd waits two times that."""

LOOK_EVERY: Final = 5.0

PAST_WHAT_IS_KNOWN: Final = 1000
"""By so much the revision grows, for a replica may know revisions that were lost. It would take a new one of
the same number for known."""

TODO: Final = "see `ipamctl restore status`"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when nodes are waited for, None if they are not; who has not spoken, and who has conflicts.

    `cause` says by what ipamd noticed that its database is an older one, None if an admin said so.
    """

    began: Instant | None
    cause: str | None = None
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
        if await self._begin_timeline(None, lambda known: known.began is not None, ""):
            log.warning("restore", outcome="begun", todo=TODO)

    async def notice(self, cause: str, told_in: str) -> None:
        """Begin by itself, for a node was told in this timeline what the database does not know.

        Raises Unavailable, InDoubt.
        """
        later = order_of(told_in) + 1
        if await self._begin_timeline(cause, lambda known: order_of(known.timeline) >= later, told_in):
            log.error("restore", outcome="the database is an older one", cause=cause, todo=TODO)

    async def _begin_timeline(
        self, cause: str | None, is_enough: Callable[[Restoration], bool], known: str
    ) -> bool:
        began = self._clock()

        async def change(catalogue: CatalogueChange) -> bool | Undone[bool]:
            await catalogue.raise_revision(PAST_WHAT_IS_KNOWN)
            before = (await catalogue.load(self._cache.catalogue.snapshot)).restoration
            if is_enough(before):
                return Undone(False)
            timeline = timeline_after(before.timeline, known, name=str(uuid4()))
            await catalogue.save(Restoration(timeline=timeline, began=began, cause=cause))
            await catalogue.renew_epochs()
            return True

        return await self._change(change)

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
        # A lease that was fenced is all that is left of a node that was removed.
        known |= {lease.node for lease in await ledger.leases(None) if lease.until}
        conflicting = [node for node, census in spoken.items() if census.conflicts]
        return Standing(
            restoration.began, restoration.cause, sorted(known - spoken.keys()), sorted(conflicting)
        )

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
