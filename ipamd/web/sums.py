"""How much is taken: sums of blocks, as many readings as pools are shown in parts."""

from __future__ import annotations

from collections.abc import Sequence

from ipamd.engine.engine import Engine
from ipamd.models.pool import Pool
from ipamd.web import cells

Bounds = tuple[int, int]
"""The first and the last address of a part."""


async def taken_in(known: Engine, pool: Pool, parts: Sequence[Bounds]) -> Sequence[int]:
    """How many addresses are held in parts of a pool that are of one size and follow each other."""
    first, last = parts[0][0], parts[-1][1]
    if parts[0][1] - first + 1 < pool.block_size:
        return cells.taken_within(await known.queries.blocks(pool.name, first, last), parts)
    return await known.queries.allocated_in(pool.name, parts)
