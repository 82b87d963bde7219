"""How full pools are: sums over blocks, and arithmetic. No allocation is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.addressing.block import count_freed_after, held_bits
from ipamd.backends.interface import Ledger
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.block import Block
from ipamd.models.errors import Fullness
from ipamd.models.instant import SECOND
from ipamd.models.pool import Pool, PoolState
from ipamd.models.query import Fill

AT_ONCE: Final = 50
"""How many pools are added up before other tasks have their turn."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Addresses of a pool. `size` is the sum of the others.

    `leased` are those that nodes hold in advance. `reserved` are those kept for a holder that does not have
    them now; `excluded` those that no holder may have; `cooling` those given back so lately that they are not
    handed out again yet.
    """

    size: int
    allocated: int
    leased: int
    cooling: int
    reserved: int
    excluded: int
    free: int


async def usage(pool: Pool, catalogue: Catalogue, ledger: Ledger, clock: Reading) -> Usage:
    """Count a pool's addresses."""
    fill = (await ledger.fill([pool.name])).get(pool.name)
    return await _usage(pool, fill, catalogue, ledger, clock)


async def usage_of_all(catalogue: Catalogue, ledger: Ledger, clock: Reading) -> Mapping[str, Usage]:
    """Count the addresses of every pool. Other tasks run in between."""
    return await usage_of(list(catalogue.pools.values()), catalogue, ledger, clock)


async def usage_of(
    pools: Sequence[Pool], catalogue: Catalogue, ledger: Ledger, clock: Reading
) -> Mapping[str, Usage]:
    """Count the addresses of some pools, by one sum for all. Other tasks run in between."""
    fills = await ledger.fill([pool.name for pool in pools])
    counted = {}
    for number, pool in enumerate(pools):
        counted[pool.name] = await _usage(pool, fills.get(pool.name), catalogue, ledger, clock)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return counted


async def _usage(
    pool: Pool, fill: Fill | None, catalogue: Catalogue, ledger: Ledger, clock: Reading
) -> Usage:
    """Add up; reads whole only the blocks in which something may cool down or be reserved."""
    mask = catalogue.mask(pool)
    cooled = clock.past(pool.cooldown * SECOND)
    blocks: Sequence[Block] = ()
    if fill is not None and (fill.last_freed > cooled or mask.reserved.hull is not None):
        blocks = await ledger.blocks(pool.name, cooled, mask.reserved.hull)
    cooling = sum(count_freed_after(block, mask.assignable_in(block.first), cooled) for block in blocks)
    reserved_held = sum(
        (held_bits(block) & mask.reserved.bits(block.first, block.size)).bit_count() for block in blocks
    )
    allocated = fill.allocated - fill.leased if fill is not None else 0
    leased = fill.leased if fill is not None else 0
    size, usable = mask.offered.total, mask.usable.total
    reserved = mask.reserved.total - reserved_held
    return Usage(
        size=size,
        allocated=allocated,
        leased=leased,
        cooling=cooling,
        reserved=reserved,
        excluded=size - usable,
        free=usable - allocated - leased - cooling - reserved,
    )


async def fullness(
    pools: Sequence[str], catalogue: Catalogue, ledger: Ledger, clock: Reading
) -> tuple[Fullness, ...]:
    """What is said of pools in which nothing may be free."""
    known = [catalogue.pools[name] for name in pools if name in catalogue.pools]
    fills = await ledger.fill([pool.name for pool in known])
    described = []
    for pool in known:
        fill = fills.get(pool.name)
        counted = await _usage(pool, fill, catalogue, ledger, clock)
        since = fill.next_free_since if fill is not None else None
        described.append(
            Fullness(
                pool.name,
                counted.size,
                counted.allocated,
                counted.cooling,
                counted.reserved,
                counted.excluded,
                pool.state is PoolState.DRAINING,
                clock.lasts_until(since, pool.cooldown * SECOND) if since is not None else None,
                pool.lends,
                counted.leased,
            )
        )
    return tuple(described)
