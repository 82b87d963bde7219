"""Quotas as admins state them."""

from __future__ import annotations

from collections.abc import Callable

from ipamd.backends.interface import CatalogueChange
from ipamd.engine.administration.counting import QuotaCounting
from ipamd.engine.administration.editing import Editing
from ipamd.models.errors import NotFound, StaleRevision
from ipamd.models.quota import Quota


class Quotas(QuotaCounting):
    """The changes that admins may make of quotas.

    When a method returns, its change is durable. What the quota limits is counted, unless it says `counting`.
    """

    async def create(self, quota: Quota) -> Quota:
        """Create a quota. Raises InvalidValue, PoolUnknown, QuotaExists."""

        async def create(catalogue: CatalogueChange) -> Quota:
            return await Editing(catalogue, *await self._begin(catalogue)).create_quota(quota)

        return await self._counted(await self._change(create))

    async def edit(self, name: str, edit: Callable[[Quota], Quota], expected: int | None) -> Quota:
        """Replace a quota by the result of `edit`, if it is at revision `expected` (None: at any).

        Raises NotFound, StaleRevision, InvalidValue, PoolUnknown, and what `edit` raises.
        """

        async def change(catalogue: CatalogueChange) -> Quota:
            editing = Editing(catalogue, *await self._begin(catalogue))
            return await editing.edit_quota(_entry(editing.quotas.get(name), name, expected), edit)

        return await self._counted(await self._change(change))

    async def delete(self, name: str, expected: int | None) -> None:
        """Delete a quota. Raises NotFound, StaleRevision."""

        async def delete(catalogue: CatalogueChange) -> None:
            editing = Editing(catalogue, *await self._begin(catalogue))
            await editing.delete_quota(_entry(editing.quotas.get(name), name, expected))

        await self._change(delete)

    async def _counted(self, quota: Quota) -> Quota:
        """A quota after what it limits was counted, as far as it still stands."""
        if quota.counting:
            await self.go_on()
        return self._cache.catalogue.snapshot.quotas.get(quota.name, quota)


def _entry(quota: Quota | None, name: str, expected: int | None) -> Quota:
    """A quota that must exist, at the revision that its editor has read."""
    if quota is None:
        raise NotFound("quota", name)
    if expected is not None and quota.revision != expected:
        raise StaleRevision(f"quota {name!r} has changed since you read it: read it again, then change it")
    return quota
