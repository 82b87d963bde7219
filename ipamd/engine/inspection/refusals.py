"""What a refusal says beside its rule: how full the pools are, and who has the address."""

from __future__ import annotations

from ipamd.backends.interface import Ledger
from ipamd.engine.allocation.candidate_pools import why_nothing
from ipamd.engine.allocation.pool_choice import MOST_NAMED
from ipamd.engine.catalogue import RequestContext
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.usage import fullness, shown_hold
from ipamd.models.errors import AddressTaken, NothingFree
from ipamd.models.outcome import Refused
from ipamd.models.query import AllocationQuery
from ipamd.models.request import PoolNames


class Refusals:
    """Completes the refusals that the decision itself cannot explain: it reads no more than it needs."""

    def __init__(self, ledger: Ledger, cache: CatalogueCache, clock: Clock) -> None:
        self._ledger = ledger
        self._cache = cache
        self._clock = clock

    async def complete(self, refused: Refused, pool_names: PoolNames, context: RequestContext) -> Refused:
        """The refusal with what its reader needs; raises Unavailable."""
        error = refused.error
        if isinstance(error, NothingFree):
            return Refused(await self.nothing_free(error, pool_names, context))
        if isinstance(error, AddressTaken):
            query = AllocationQuery(address=error.address, space=error.space)
            for row in await self._ledger.page(query, None, 1):
                hold = self._cache.catalogue.snapshot.holds.get(row.hold or "") if row.is_left else None
                if hold is not None:
                    by = shown_hold(hold, self._clock.read())
                    return Refused(AddressTaken(error.space, error.address, by, None, error.reserved))
                taken = AddressTaken(error.space, error.address, row.held_by, row.id, error.reserved)
                return Refused(taken)
        return refused

    async def nothing_free(
        self, error: NothingFree, pool_names: PoolNames, context: RequestContext
    ) -> NothingFree:
        """That its pools have nothing free, how full they are, and why others refuse."""
        catalogue = self._cache.catalogue
        full = await fullness(error.pools[:MOST_NAMED], catalogue, self._ledger, self._clock.read())
        why = why_nothing(pool_names, context, catalogue, full)
        return NothingFree(error.pools, why, error.prefix_length, error.closed_by)
