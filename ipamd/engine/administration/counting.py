"""Counts what quotas limit, before they limit it (docs/decisions/0041-quotas.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from ipamd.backends.interface import CatalogueChange, InDoubt, Undone
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.rounds import go_on
from ipamd.models.errors import DomainError

LOOK_EVERY: Final = 5.0
"""Seconds between two looks for quotas whose counting was broken off."""

AT_ONCE: Final = 200
"""How many quotas one change counts."""

log = structlog.get_logger()


class QuotaCounting(CatalogueWriter):
    """Finishes what the change of a quota began. Each process does it, without a leader."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await go_on(self.finish, LOOK_EVERY, "quotas could not be counted; ipamd tries again")

    async def go_on(self) -> None:
        """Finish what a change has just begun. If that fails, the change stands, and a later look does it."""
        try:
            await self.finish()
        except (DomainError, InDoubt) as error:
            log.warning("a quota could not be counted; ipamd tries again", error=str(error))

    async def count_again(self, names: Collection[str]) -> None:
        """Count quotas anew. They refuse nobody meanwhile. Raises Unavailable, InDoubt."""

        async def begin(catalogue: CatalogueChange) -> None:
            _, snapshot = await self._begin(catalogue)
            for quota in filter(None, map(snapshot.quotas.get, sorted(names))):
                await catalogue.save(replace(quota, counting=True))

        await self._change(begin)
        await self.finish()

    async def finish(self) -> None:
        """Count for all quotas that are counting; later, if what began before them goes on for long.

        Raises Unavailable, InDoubt.
        """
        quotas = self._cache.catalogue.snapshot.quotas.values()
        waiting = sorted((quota.name, quota.revision) for quota in quotas if quota.counting)
        if not waiting or not await self._all_before_has_ended("a quota: it is counted later"):
            return
        for first in range(0, len(waiting), AT_ONCE):
            await self._change(partial(self._count, dict(waiting[first : first + AT_ONCE])))

    async def _count(self, known: Mapping[str, int], catalogue: CatalogueChange) -> Undone[None] | None:
        _, snapshot = await self._begin(catalogue)
        # One that was changed since waits for another mark.
        same = [
            quota
            for quota in map(snapshot.quotas.get, known)
            if quota is not None and quota.counting and quota.revision == known[quota.name]
        ]
        if not same:
            return Undone(None)
        await catalogue.count(same)
        for quota in same:
            await catalogue.save(replace(quota, counting=False))
        return None
