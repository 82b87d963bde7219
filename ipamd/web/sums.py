"""How much is taken and usable: sums of blocks, shared by all who look if there are many blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.addressing.mask import Mask
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.usage import Usage
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool
from ipamd.web import cells
from ipamd.web.shared import Shared
from ipamd.web.strips import PoolOrder, sums

Bounds = tuple[int, int]
"""The first and the last address of a part."""

LARGE: Final = 4096
"""A pool that may have so many blocks is counted once for all who look at the time."""

AT_ONCE: Final = 50
"""How many pools are added up before other tasks have their turn."""

SpaceKey = tuple[str, int]
"""A space and a family."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How full a pool is, and how many addresses are held in each cell of its picture, as of a moment."""

    usage: Usage
    taken: Sequence[int]
    at: Instant


async def taken_in(known: Engine, pool: Pool, parts: Sequence[Bounds]) -> Sequence[int]:
    """How many addresses are held in parts of a pool, or prefixes of its own length, read now."""
    numbers = [cells.numbers_in(part, pool) for part in parts]
    first, last = numbers[0][0], numbers[-1][1]
    if numbers[0][1] - first + 1 < pool.block_size:
        return cells.taken_within(await known.queries.blocks(pool.name, first, last), numbers)
    return await known.queries.allocated_in(pool.name, numbers)


def is_large(pool: Pool) -> bool:
    """Whether a pool may have so many blocks that adding them up takes long."""
    return pool.last_number - pool.first_number + 1 >= LARGE * pool.block_size


class SharedSums:
    """What large pools have, and all pools of a space together."""

    def __init__(self) -> None:
        self._large: Shared[Counted] = Shared()
        self._allocated: Shared[tuple[Mapping[str, int], Instant]] = Shared()
        self._turn = asyncio.Lock()
        self._catalogue: Catalogue | None = None
        self._rows: dict[SpaceKey, tuple[PoolOrder, Sequence[int]]] = {}

    def forget(self) -> None:
        """Forget what was counted: somebody who looks has changed something, and wants to see it."""
        self._large.forget()
        self._allocated.forget()

    async def counted(self, known: Engine, pool: Pool) -> Counted:
        """How full a large pool is."""

        async def read() -> Counted:
            at = known.clock()
            parts = [(part.first, part.last) for part in cells.prefixes_of(pool.subnet, pool.given_length)]
            taken = await taken_in(known, pool, parts)
            usages = await known.queries.usage_of([pool], {pool.name: sum(taken)})
            return Counted(usages[pool.name], taken, at)

        return await self._large.get((pool.name, pool.subnet, pool.block_length), read)

    async def taken_in(
        self, known: Engine, pool: Pool, parts: Sequence[Bounds]
    ) -> tuple[Sequence[int], Instant | None]:
        """How many addresses are held in parts of a pool, and as of when if not now.

        The parts are of one size and follow each other.
        """
        size = parts[0][1] - parts[0][0] + 1
        cell = 1 << (pool.subnet.max_prefixlen - cells.cell_length(pool.subnet, pool.given_length))
        if size < cell or not is_large(pool):
            return await taken_in(known, pool, parts), None
        counted, begin = await self.counted(known, pool), int(pool.subnet.network_address)
        held = sums(counted.taken)
        taken = [held[(last + 1 - begin) // cell] - held[(first - begin) // cell] for first, last in parts]
        return taken, counted.at

    async def row(self, catalogue: Catalogue, space: str, family: int) -> tuple[PoolOrder, Sequence[int]]:
        """The pools of a space and a family in their order, and the sums of what is usable in them."""
        async with self._turn:
            if self._catalogue is not catalogue:
                self._catalogue, self._rows = catalogue, {}
            known = self._rows.get((space, family))
            if known is None:
                row = PoolOrder(catalogue.pools_of(space, family))
                known = self._rows[space, family] = row, sums(await _usable(row.pools))
            return known

    async def taken(self, known: Engine, row: PoolOrder) -> tuple[Sequence[int], Instant]:
        """The sums of what is held, also by nodes in advance, as of a moment."""

        async def read() -> tuple[Mapping[str, int], Instant]:
            at = known.clock()
            return await known.queries.allocated(), at

        allocated, at = await self._allocated.get("all", read)
        return sums([allocated.get(pool.name, 0) for pool in row.pools]), at


async def _usable(pools: Sequence[Pool]) -> list[int]:
    """How many addresses holders may have of each pool. What is reserved is usable: nobody looks it up."""
    found = []
    for number, pool in enumerate(pools):
        found.append(Mask(pool).usable.total)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
