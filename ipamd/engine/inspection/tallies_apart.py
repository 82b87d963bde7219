"""Tallies of quotas that differ from the allocations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from ipamd.backends.interface import Backend
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.quota import Quota, Tally

CountAgain = Callable[[Collection[str]], Awaitable[None]]
"""Counts quotas of these names anew."""


class TalliesApart:
    """Finds them, and has their quotas counted anew."""

    def __init__(self, backend: Backend, cache: CatalogueCache, count_again: CountAgain) -> None:
        self._backend = backend
        self._cache = cache
        self._count_again = count_again

    async def findings(self, *, repair: bool) -> list[Finding]:
        """One finding for each tally. Raises Unavailable, InDoubt."""
        snapshot = (await self._cache.refresh()).snapshot
        wrong: dict[str, list[Finding]] = {}
        for quota in snapshot.quotas.values():
            found = await self._of(quota) if not quota.counting else []
            if found:
                wrong[quota.name] = found
        if repair and wrong:
            await self._count_again(wrong.keys())
        return [replace(each, repaired=repair) for found in wrong.values() for each in found]

    async def _of(self, quota: Quota) -> list[Finding]:
        said, live = await self._backend.audit.tallies(quota)
        if said == live or (await self._cache.refresh()).snapshot.quotas.get(quota.name) != quota:
            return []  # right, or of another state of the quota
        differing = (tally for tally in sorted({*said, *live}) if said.get(tally) != live.get(tally))
        return [_finding(tally, said, live) for tally in differing]


def _finding(tally: Tally, said: Mapping[Tally, int], live: Mapping[Tally, int]) -> Finding:
    return Finding(
        kind=FindingKind.TALLY,
        what=f"quota {tally.quota} counts {said.get(tally, 0)} IPv{tally.family} addresses of {tally.whose}, "
        f"and {live.get(tally, 0)} are allocated",
    )
