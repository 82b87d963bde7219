"""Requests that wait until nodes give back what they hold in advance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.seat_changes import is_free_seat
from ipamd.engine.allocation.selection import MOST_NAMED, listed
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.errors import NothingFree, Unavailable
from ipamd.models.instant import rfc3339
from ipamd.models.outcome import Outcome, Refused
from ipamd.models.pool import PoolState
from ipamd.models.request import AllocationRequest

LOOK_EVERY: Final = 0.5
"""Seconds between two tries. Nodes that wait for news hear of a scarce pool as soon."""


class Recalls:
    """Tries a request again while nodes are to give addresses back."""

    def __init__(self, allocator: Allocator, ledger: Ledger, cache: CatalogueCache) -> None:
        self._allocator = allocator
        self._ledger = ledger
        self._cache = cache

    async def again(self, request: AllocationRequest, refused: Refused) -> Outcome:
        """What becomes of a refused request within its time.

        If only nodes that do not answer hold what it needs, that is not "nothing free": it is Unavailable.
        """
        outcome: Outcome = refused
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout - LOOK_EVERY
        while isinstance(outcome, Refused) and isinstance(outcome.error, NothingFree):
            pools = await self._leased(outcome.error.pools)
            if not pools:
                break
            if loop.time() >= deadline:
                return Refused(Unavailable(await self._who_holds(pools)))
            await asyncio.sleep(LOOK_EVERY)
            outcome = await self._allocator.submit(request)
        return outcome

    async def _leased(self, pools: Sequence[str]) -> Sequence[str]:
        """Those of some pools of which nodes hold addresses in advance that others may have. By sums only."""
        known = self._cache.catalogue.pools
        active = [name for name in pools if name in known and known[name].state is PoolState.ACTIVE]
        fills = await self._ledger.fill(active)
        return [name for name in active if name in fills and fills[name].leased]

    async def _who_holds(self, pools: Sequence[str]) -> str:
        """Which nodes hold free addresses of these pools, as a sentence."""
        nodes = []
        for lease in await self._ledger.leases(None):
            rows = await self._ledger.seat_rows(lease.node)
            free = sum(row.pool in pools and is_free_seat(row) for row in rows)
            if free:
                nodes.append(f"node {lease.node.name} {free}, last heard at {rfc3339(lease.heard)}")
            if len(nodes) > MOST_NAMED:
                break
        of = " and ".join(f"pool {pool}" for pool in pools)
        return (
            f"what is left of {of} is held in advance by nodes that were asked to give it back: "
            f"{listed(nodes) or 'they give it back now'}; try again"
        )
