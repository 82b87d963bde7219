"""How full pools are: sums over blocks, and arithmetic. No allocation is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.addressing.block import count_freed_after, count_held
from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.backends.interface import NOT_ADDED_UP, Ledger
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.block import Block
from ipamd.models.errors import Fullness
from ipamd.models.hold import Hold, HoldUse
from ipamd.models.instant import SECOND, rfc3339
from ipamd.models.pool import Pool, PoolState
from ipamd.models.query import BlocksWanted, Fill

AT_ONCE: Final = 50
"""How many pools are added up before other tasks have their turn."""

NOTHING: Final = Fill(allocated=0, last_freed=0, next_free_since=None)
"""What a pool without blocks has."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Addresses of a pool. `size` is the sum of the others.

    `leased` are those that nodes hold in advance, `held` those left of holds. `reserved` are those kept for a
    holder that does not have them now; `excluded` those that no holder may have; `cooling` those given back
    so lately that they are not handed out again yet.
    """

    size: int
    allocated: int
    leased: int
    held: int
    cooling: int
    reserved: int
    excluded: int
    free: int
    prefixes: dict[int, int]
    """How many prefixes of each length are held. Their addresses are among the allocated ones."""


async def usage(pool: Pool, catalogue: Catalogue, ledger: Ledger, clock: Reading) -> Usage:
    """Count a pool's addresses."""
    return (await usage_of([pool], catalogue, ledger, clock))[pool.name]


async def usage_of_all(catalogue: Catalogue, ledger: Ledger, clock: Reading) -> Mapping[str, Usage]:
    """Count the addresses of every pool. Other tasks run in between."""
    return await usage_of(list(catalogue.pools.values()), catalogue, ledger, clock)


async def usage_of(
    pools: Sequence[Pool],
    catalogue: Catalogue,
    ledger: Ledger,
    clock: Reading,
    allocated: Mapping[str, int] = NOT_ADDED_UP,
) -> Mapping[str, Usage]:
    """Count the addresses of some pools, by one sum for all. Other tasks run in between.

    Of pools in `allocated` the caller has added up already what is allocated.
    """
    return await _added_up(pools, catalogue, ledger, clock, allocated, await ledger.prefixes())


async def _added_up(
    pools: Sequence[Pool],
    catalogue: Catalogue,
    ledger: Ledger,
    clock: Reading,
    allocated: Mapping[str, int],
    prefixes: Mapping[str, Mapping[int, int]],
) -> Mapping[str, Usage]:
    counted = {}
    fills = await ledger.fill([pool.name for pool in pools], allocated)
    holds = await _left_of_holds(pools, catalogue, ledger)
    for begin in range(0, len(pools), AT_ONCE):
        portion = pools[begin : begin + AT_ONCE]
        wanted = [
            _wanted(fills[pool.name], catalogue.mask(pool), clock) for pool in portion if pool.name in fills
        ]
        looked_into = [each for each in wanted if each is not None]
        blocks = await ledger.blocks_of(looked_into) if looked_into else {}
        for pool in portion:
            fill, mask = fills.get(pool.name, NOTHING), catalogue.mask(pool)
            lengths, held = prefixes.get(pool.name, {}), holds.get(pool.name, 0)
            counted[pool.name] = _usage(mask, fill, blocks.get(pool.name, ()), lengths, held, clock)
        await asyncio.sleep(0)
    return counted


async def _left_of_holds(pools: Sequence[Pool], catalogue: Catalogue, ledger: Ledger) -> Mapping[str, int]:
    """What is left of the holds of some pools. Where there are none, nothing is read."""
    holds = [hold for pool in pools for hold in catalogue.holds.of_pool(pool.name)]
    uses = await ledger.hold_uses([hold.name for hold in holds]) if holds else {}
    left: dict[str, int] = {}
    for hold in holds:
        left[hold.pool] = left.get(hold.pool, 0) + uses.get(hold.name, HoldUse()).left
    return left


def _wanted(fill: Fill, mask: Mask, clock: Reading) -> BlocksWanted | None:
    """The blocks that are read whole: those alone in which something may cool down or be reserved."""
    cooled = clock.past(mask.pool.cooldown * SECOND)
    if fill.last_freed <= cooled and not mask.reserved:
        return None
    block_of = mask.pool.block_of
    stretches = Spans((block_of(first), block_of(last)) for first, last in mask.reserved)
    return BlocksWanted(mask.pool.name, cooled, list(stretches))


def _usage(
    mask: Mask,
    fill: Fill,
    blocks: Sequence[Block],
    prefixes: Mapping[int, int],
    held: int,
    clock: Reading,
) -> Usage:
    """Add up."""
    cooled = clock.past(mask.pool.cooldown * SECOND)
    cooling = sum(
        count_freed_after(block, mask.assignable_in(block.first), cooled)
        for block in blocks
        if block.last_freed > cooled
    )
    reserved_held = sum(count_held(block, mask.reserved) for block in blocks if block.allocated)
    allocated = max(fill.allocated - fill.leased - held, 0)  # what is left was counted a moment later
    size, usable = mask.offered.total, mask.usable.total
    reserved = mask.reserved.total - reserved_held
    return Usage(
        size=size,
        allocated=allocated,
        leased=fill.leased,
        held=held,
        cooling=cooling,
        reserved=reserved,
        excluded=size - usable,
        free=usable - allocated - fill.leased - held - cooling - reserved,
        prefixes=dict(sorted(prefixes.items())),
    )


async def fullness(
    pools: Sequence[str], catalogue: Catalogue, ledger: Ledger, clock: Reading
) -> tuple[Fullness, ...]:
    """What is said of pools in which nothing may be free. No prefix is counted for it."""
    known = [catalogue.pools[name] for name in pools if name in catalogue.pools]
    fills = await ledger.fill([pool.name for pool in known])
    usages = await _added_up(known, catalogue, ledger, clock, NOT_ADDED_UP, {})
    described = []
    for pool in known:
        fill, counted = fills.get(pool.name), usages[pool.name]
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
                counted.held,
                _shown_holds(pool, catalogue, clock) if counted.held else (),
            )
        )
    return tuple(described)


def _shown_holds(pool: Pool, catalogue: Catalogue, clock: Reading) -> tuple[str, ...]:
    """The holds of a pool, each with its end, as a sentence names them."""
    return tuple(shown_hold(hold, clock) for hold in catalogue.holds.of_pool(pool.name))


def shown_hold(hold: Hold, clock: Reading) -> str:
    """A hold with its end."""
    return f"hold {hold.name} until {rfc3339(clock.lasts_until(hold.since, hold.span))}"
