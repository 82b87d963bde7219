"""Reading: pages, history and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.query import AllocationQuery, Fill, HistoryQuery


class Ledger(Protocol):
    """Reading only, from connections of its own: never in the way of a writer.

    Each method sees whole units of work only, and all of those that were answered before it was called.
    """

    async def snapshot(self, known: Snapshot) -> Snapshot:
        """The catalogue as last committed; reads as `CatalogueChange.load` does."""
        ...

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        """Live allocations in the order of `AllocationQuery.place`.

        `after` is the id of the last allocation of the page before, live or ended; an id that is not known
        ends the list.
        """
        ...

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        """Allocations, live and ended, the latest begun first.

        `before` is the id of the last allocation of the page before; an id that is not known ends the list.
        """
        ...

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        """The live allocations of one holder, by position."""
        ...

    async def allocation(self, allocation: int) -> Allocation | None:
        """One row, live or ended."""
        ...

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        """The row that a request with this key made, live or ended; of several the first by position."""
        ...

    async def fill(self, pools: Sequence[str]) -> Mapping[str, Fill]:
        """Sums over the blocks of some pools; a pool without blocks is left out."""
        ...

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        """The blocks of a pool freed from after an instant, and those that hold any address between two.

        By number; `between` has the first and the last of the addresses.
        """
        ...

    async def contacts(self) -> Mapping[NodeKey, Instant]:
        """Every node that was ever heard from, and when it last was, as last written."""
        ...

    async def uses(self) -> Mapping[int, Instant]:
        """When each token, by its id, was last used, as last written."""
        ...
