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
from ipamd.models.node import NodeKey

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
        """Carve the next blocks of each of these nodes, unless the node has others with room."""
        now = asyncio.get_running_loop().time()
        due: dict[NodeKey, list[NeedsBlock]] = {}
        for each in nearly_full:
            assert each.node is not None  # only a node's blocks are carved ahead
            if self._rests.get(each, 0.0) <= now:
                self._rests[each] = now + RESTS
                due.setdefault(each.node, []).append(each)
        for node, wanted in due.items():
            task = asyncio.create_task(self._look(node, wanted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _look(self, node: NodeKey, wanted: Sequence[NeedsBlock]) -> None:
        try:
            lacking = [each for each in wanted if await self._is_lacking(node, each)]
            if lacking:
                await self._carve(lacking)  # together: nodes hear once a second at most
            for each in lacking:
                del self._rests[each]
        except (DomainError, InDoubt) as error:
            pools = sorted(each.pool for each in wanted)
            log.warning("the next block was not carved ahead", pools=pools, error=str(error))

    async def _is_lacking(self, node: NodeKey, wanted: NeedsBlock) -> bool:
        blocks = await self._ledger.blocks_of_node(wanted.pool, node)
        free = sum(block.size - block.allocated for block in blocks)
        return bool(blocks) and free <= spare(blocks[0].size)
