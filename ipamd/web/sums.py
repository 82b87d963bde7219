"""How much is taken and usable: sums of blocks, as many readings as pools are shown in parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.pool import Pool
from ipamd.web import cells
from ipamd.web.strips import PoolOrder, sums

Bounds = tuple[int, int]
"""The first and the last address of a part."""

FRESH: Final = 3.0
"""Seconds for which the sums of all pools are good for whoever looks."""

AT_ONCE: Final = 50
"""How many pools are added up before other tasks have their turn."""

SpaceKey = tuple[str, int]
"""A space and a family."""


async def taken_in(known: Engine, pool: Pool, parts: Sequence[Bounds]) -> Sequence[int]:
    """How many addresses are held in parts of a pool that are of one size and follow each other."""
    first, last = parts[0][0], parts[-1][1]
    if parts[0][1] - first + 1 < pool.block_size:
        return cells.taken_within(await known.queries.blocks(pool.name, first, last), parts)
    return await known.queries.allocated_in(pool.name, parts)


class SpaceSums:
    """What the pools of a space have together: read once for all windows that show it at the time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._catalogue: Catalogue | None = None
        self._rows: dict[SpaceKey, tuple[PoolOrder, Sequence[int]]] = {}
        self._allocated: Mapping[str, int] = {}
        self._read_at = -FRESH

    async def row(self, catalogue: Catalogue, space: str, family: int) -> tuple[PoolOrder, Sequence[int]]:
        """The pools of a space and a family in their order, and the sums of what is usable in them."""
        async with self._turn:
            if self._catalogue is not catalogue:
                self._catalogue, self._rows = catalogue, {}
            known = self._rows.get((space, family))
            if known is None:
                row = PoolOrder(catalogue.pools_of(space, family))
                known = self._rows[space, family] = row, sums(await _usable(catalogue, row.pools))
            return known

    async def taken(self, known: Engine, row: PoolOrder) -> Sequence[int]:
        """The sums of what is held, also by nodes in advance."""
        async with self._turn:
            if time.monotonic() - self._read_at >= FRESH:
                self._allocated = await known.queries.allocated(list(known.catalogue.pools))
                self._read_at = time.monotonic()
        return sums([self._allocated.get(pool.name, 0) for pool in row.pools])


async def _usable(catalogue: Catalogue, pools: Sequence[Pool]) -> list[int]:
    found = []
    for number, pool in enumerate(pools):
        found.append(catalogue.mask(pool).usable.total)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
