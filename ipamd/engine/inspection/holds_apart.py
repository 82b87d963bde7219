"""Holds that differ from the allocations."""

from __future__ import annotations

from ipamd.backends.interface import Backend
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.hold import HoldState, HoldUse


class HoldsApart:
    """Finds them: holds that have too few addresses or too many, and what is left of holds that are gone."""

    def __init__(self, backend: Backend, cache: CatalogueCache) -> None:
        self._backend = backend
        self._cache = cache

    async def findings(self) -> list[Finding]:
        """One finding for each hold. Raises Unavailable."""
        before = (await self._cache.refresh()).snapshot.holds
        uses = await self._backend.ledger.hold_uses(None)
        after = (await self._cache.refresh()).snapshot.holds
        found = []
        for name, hold in before.items():
            use = uses.get(name, HoldUse())
            stands = hold.state is HoldState.STANDING and after.get(name) == hold  # at all these moments
            if stands and use.left + use.taken != hold.size:
                what = (
                    f"hold {name} is of {hold.size} addresses, but {use.left} are left of it, and workloads "
                    f"have {use.taken}"
                )
                found.append(Finding(kind=FindingKind.HOLD, what=what, pool=hold.pool))
        for name, use in uses.items():
            if use.left and name not in before and name not in after:
                what = (
                    f"{use.left} addresses are left of hold {name}, which does not exist: "
                    f"`ipamctl allocation list --owner hold:{name}` lists them, and each may be released"
                )
                found.append(Finding(kind=FindingKind.HOLD, what=what))
        return found
