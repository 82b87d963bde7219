"""Moments that a clock left which was ahead, set back: else addresses cool for years."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import structlog

from ipamd.addressing.block import longest_free_since
from ipamd.backends.interface import Backend, BlockId, Changes, InDoubt, Transaction
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.locked_block import locked_block
from ipamd.engine.moments import set_back_address
from ipamd.models.address import IPAddress
from ipamd.models.block import HELD, Block
from ipamd.models.errors import DomainError
from ipamd.models.instant import AHEAD, Instant
from ipamd.models.issued import REMEMBERED_FOR
from ipamd.models.pool import Pool
from ipamd.models.query import HistoryQuery

LOOK_EVERY: Final = 600.0
"""Seconds between two looks for moments ahead of the clock, which another replica may have left."""

NOTICE_EVERY: Final = 5.0
"""Seconds until it is noticed that the clock was set back, and looked at once."""

MOST_ADDRESSES: Final = 1000
"""Addresses whose history is set back in one look. `check --repair` sets back the rest at once."""

PAGE: Final = 200

log = structlog.get_logger()


class Place(NamedTuple):
    """An address of a space."""

    space: str
    address: IPAddress


class SettingBack:
    """Looks for moments ahead of the clock, at the start, after each step back, and now and then."""

    def __init__(
        self, backend: Backend, cache: CatalogueCache, clock: Clock, tokens: Callable[[], Awaitable[int]]
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._clock = clock
        self._set_back_tokens = tokens
        self._freed: dict[Place, Instant] = {}

    async def begin(self) -> None:
        """Set back blocks before the first call is served; the rest can wait."""
        await self._attempt(self._blocks)

    async def run(self) -> None:
        """Work until cancelled."""
        before, looked = self._clock(), -LOOK_EVERY
        while True:
            await asyncio.sleep(NOTICE_EVERY)
            now, time = self._clock(), asyncio.get_running_loop().time()
            if now < before or time - looked >= LOOK_EVERY:
                looked = time
                await self._attempt(self.look)
            before = now

    async def _attempt(self, look: Callable[[], Awaitable[object]]) -> None:
        """Set back what can be set back now; the rest is left to a later look."""
        try:
            await look()
        except (DomainError, InDoubt, StaleCatalogue) as error:
            log.warning("moments ahead of the clock were not set back", error=str(error))

    async def look(self) -> None:
        """Set back what is ahead. Raises Unavailable, InDoubt, StaleCatalogue.

        History is left as it is while the clock says less than what has surely passed.
        """
        await self._blocks()
        now = self._clock()
        counts = await self.apart(now)
        if not self._clock.is_behind:
            counts["allocations"] = await self._allocations(now)
        if any(counts.values()):
            log.warning("moments ahead of the clock were set back", **counts)

    async def apart(self, now: Instant) -> dict[str, int]:
        """Set back what is neither a block nor an allocation; how many they were."""
        contacts = {
            node: now
            for node, heard in (await self._backend.ledger.contacts()).items()
            if heard > now + AHEAD
        }
        uses = {
            token: now for token, used in (await self._backend.ledger.uses()).items() if used > now + AHEAD
        }
        await self._backend.record_contacts(contacts)
        await self._backend.record_uses(uses)
        releases = 0
        if await self._backend.audit.remembered_after(now + REMEMBERED_FOR + AHEAD):
            releases = await self._backend.shorten_releases(now + REMEMBERED_FOR)
        return {
            "releases": releases,
            "contacts": len(contacts),
            "uses": len(uses),
            "tokens": await self._set_back_tokens(),
        }

    async def _blocks(self) -> None:
        """Set back blocks, and note of which addresses the allocations may be ahead too."""
        now, count = self._clock(), 0
        catalogue = await self._cache.refresh()
        for name, fill in (await self._backend.ledger.fill(list(catalogue.pools))).items():
            if fill.last_freed <= now + AHEAD:
                continue
            pool = catalogue.pools[name]
            for block in await self._backend.ledger.blocks(name, now + AHEAD, None):
                if len(self._freed) < MOST_ADDRESSES and not self._clock.is_behind:
                    self._freed |= dict.fromkeys(_freed_ahead(block, pool, now), now)
                await self._backend.transact(_block_set_back(catalogue, pool, block.first, now))
                count += 1
        if count:
            log.warning("blocks ahead of the clock were set back", blocks=count)

    async def _allocations(self, now: Instant) -> int:
        """Set back the history of addresses that were freed, and of those that began last; how many rows."""
        count = 0
        pools = (await self._cache.refresh()).pools
        for place, moment in list(self._freed.items()):
            count += await set_back_address(self._backend, pools, *place, moment)
            del self._freed[place]
        for _ in range(0, MOST_ADDRESSES, PAGE):
            latest = await self._backend.ledger.history(HistoryQuery(), None, PAGE)
            begun = {Place(row.space, row.address): None for row in latest if row.since > now + AHEAD}
            for place in begun:
                count += await set_back_address(self._backend, pools, *place, now)
            if not begun:
                break
        return count


def _freed_ahead(block: Block, pool: Pool, now: Instant) -> Iterator[Place]:
    for offset, since in enumerate(block.free_since):
        if now + AHEAD < since < HELD:
            yield Place(pool.space, pool.address_of(block.first + offset))


def _block_set_back(
    catalogue: Catalogue, pool: Pool, first: int, now: Instant
) -> Callable[[Transaction], Coroutine[Any, Any, None]]:
    async def work(transaction: Transaction) -> None:
        block = await locked_block(BlockId(pool.name, first), catalogue, transaction)
        moments = array("q", (since if since == HELD else min(since, now) for since in block.free_since))
        latest = max((since for since in moments if since != HELD), default=0)
        changed = replace(block, free_since=moments, last_freed=min(max(latest, block.last_freed), now))
        changed.next_free_since = longest_free_since(changed, catalogue.mask(pool).assignable_in(first))
        await transaction.write(Changes(blocks=[changed]))

    return work
