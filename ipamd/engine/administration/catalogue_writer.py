"""How a change of the catalogue goes: take it, read what stands, write, and know it here at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ipamd.backends.interface import Backend, Catalogue
from ipamd.engine import catalogue as view
from ipamd.models.catalogue import Snapshot

T = TypeVar("T")


class CatalogueWriter:
    """What those share who change the catalogue, one after another, each change whole or not at all."""

    def __init__(
        self,
        backend: Backend,
        known: Callable[[], view.Catalogue],
        refresh: Callable[[], Awaitable[view.Catalogue]],
    ) -> None:
        self._backend = backend
        self._known = known
        self._refresh = refresh

    async def _begin(self, catalogue: Catalogue) -> tuple[int, Snapshot]:
        """Take the catalogue, then read it: nobody changes it before this change ends."""
        revision = await catalogue.raise_revision()
        return revision, await catalogue.load(self._known().snapshot)

    async def _change(self, change: Callable[[Catalogue], Coroutine[Any, Any, T]]) -> T:
        changed = await self._backend.change(change)
        await self._refresh()
        return changed
