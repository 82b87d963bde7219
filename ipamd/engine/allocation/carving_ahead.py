"""Carves a node's next block before its last is used up: so it is announced before it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from ipamd.addressing.block import spare
from ipamd.backends.interface import InDoubt, Ledger
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.models.errors import DomainError

RESTS: Final = 5.0
"""Seconds for which a node is left alone that has enough: pods that come and go are no growth."""

log = structlog.get_logger()


class CarvingAhead:
    """Looks after nodes whose block is nearly full, beside the calls."""

    def __init__(self, ledger: Ledger, carve: Callable[[Sequence[NeedsBlock]], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._carve = carve
        self._rests: dict[NeedsBlock, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look_after(self, nearly_full: Iterable[NeedsBlock]) -> None:
        """Carve the next block of each of these nodes, unless the node has another with room."""
        loop = asyncio.get_running_loop()
        for each in nearly_full:
            if self._rests.get(each, 0.0) <= loop.time():
                self._rests[each] = loop.time() + RESTS
                task = asyncio.create_task(self._look(each))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _look(self, wanted: NeedsBlock) -> None:
        assert wanted.node is not None  # only a node's blocks are carved ahead
        try:
            blocks = await self._ledger.blocks_of_node(wanted.pool, wanted.node)
            free = sum(block.size - block.allocated for block in blocks)
            if blocks and free <= spare(blocks[0].size):
                await self._carve([wanted])
                del self._rests[wanted]
        except (DomainError, InDoubt) as error:
            log.warning("the next block was not carved ahead", pool=wanted.pool, error=str(error))
