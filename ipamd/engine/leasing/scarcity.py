"""How many addresses of a pool may still be leased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.queries import Queries
from ipamd.engine.leasing.eligibility import SCARCE
from ipamd.models.instant import SECOND, Instant
from ipamd.models.pool import Pool

LASTS: Final = SECOND
"""For how long a count is used again: many nodes ask about the same pools."""


class Scarcity:
    """Counts what pools have free, for all nodes that ask at the same time."""

    def __init__(self, queries: Queries, cache: CatalogueCache, clock: Clock) -> None:
        self._queries = queries
        self._cache = cache
        self._clock = clock
        self._counted: dict[str, tuple[Instant, int]] = {}
        self._waiting: Counter[str] = Counter()

    async def room(self, pool: Pool) -> int:
        """How many addresses may be leased before a pool is scarce. Raises Unavailable.

        If it is negative, so many are to be given back.
        """
        now = self._clock.passed()
        at, room = self._counted.get(pool.name, (now - LASTS, 0))
        if now - at >= LASTS:
            usage = await self._queries.usage(pool.name)
            room = usage.free - -(-usage.size // SCARCE)
            self._counted[pool.name] = now, room
        return room - self._waiting[pool.name]

    async def any_below(self, pools: Iterable[str]) -> bool:
        """Whether any of these pools is scarce, as far as they exist. Raises Unavailable."""
        known = self._cache.catalogue.pools
        return any([await self.room(known[name]) < 0 for name in pools if name in known])

    def take(self, pools: Iterable[str]) -> None:
        """Note that one address of each of these pools is being leased."""
        self._add(pools, -1)

    def give_back(self, pools: Iterable[str]) -> None:
        """Note that one address of each of these pools is not leased, or is on its way back."""
        self._add(pools, 1)

    @contextmanager
    def waited_for(self, pools: Collection[str]) -> Iterator[None]:
        """Have nodes give back one address more while a request waits for any of these pools."""
        self._waiting.update(pools)
        try:
            yield
        finally:
            self._waiting.subtract(pools)

    def _add(self, pools: Iterable[str], count: int) -> None:
        for name in pools:
            at, room = self._counted.get(name, (0, 0))
            self._counted[name] = at, room + count
