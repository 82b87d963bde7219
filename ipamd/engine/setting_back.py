"""Moments in blocks that a clock left which was ahead, set back: else addresses cool for years."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Final

import structlog

from ipamd.addressing.block import longest_free_since
from ipamd.backends.interface import Backend, BlockId, Changes, Transaction
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.models.block import HELD
from ipamd.models.instant import SECOND, Instant
from ipamd.models.pool import Pool

AHEAD: Final = 60 * SECOND
"""Clocks of replicas differ by less. A moment that is further ahead is of a clock that was wrong."""

log = structlog.get_logger()


async def set_back(backend: Backend, catalogue: Catalogue, now: Instant) -> int:
    """Set back the blocks that have a moment ahead of the clock; how many they were."""
    count = 0
    for name, fill in (await backend.ledger.fill(list(catalogue.pools))).items():
        if fill.last_freed <= now + AHEAD:
            continue
        for block in await backend.ledger.blocks(name, now + AHEAD, None):
            await _set_back(backend, catalogue, catalogue.pools[name], block.first, now)
            count += 1
    if count:
        log.warning("moments ahead of the clock were set back", blocks=count)
    return count


async def _set_back(backend: Backend, catalogue: Catalogue, pool: Pool, first: int, now: Instant) -> None:
    async def work(transaction: Transaction) -> None:
        [locked] = await transaction.lock([BlockId(pool.name, first)])
        if not locked.blocks or await transaction.revision() != catalogue.revision:
            raise StaleCatalogue
        [block] = locked.blocks
        moments = array("q", (since if since == HELD else min(since, now) for since in block.free_since))
        latest = max((since for since in moments if since != HELD), default=0)
        changed = replace(block, free_since=moments, last_freed=min(max(latest, block.last_freed), now))
        changed.next_free_since = longest_free_since(changed, catalogue.mask(pool).assignable_in(first))
        await transaction.write(Changes(blocks=[changed]))

    await backend.transact(work)
