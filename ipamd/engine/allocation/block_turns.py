"""In which turn the open blocks of a batch serve: those whose next address has been free longest first."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush

from ipamd.addressing.block import OpenBlock
from ipamd.backends.interface import BlockOwner
from ipamd.engine.allocation.block_search import SearchStep
from ipamd.engine.catalogue import Catalogue
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool


class BlockTurns:
    """The queues in which open blocks wait, one for each owner; without affinity a pool has one queue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._queues: dict[tuple[str, NodeKey | None], list[tuple[Instant, int]]] = {}

    def wait(self, block: OpenBlock) -> None:
        """Have a block wait at the turn that it has now."""
        since = block.next_free_since
        if since is not None:
            key = block.block.pool, self._owner_of(block)
            heappush(self._queues.setdefault(key, []), (since, block.block.first))

    def next_in(self, step: SearchStep, pool: Pool, opened: Mapping[int, OpenBlock]) -> OpenBlock | None:
        """The open block of a step whose next address has been free longest."""
        if pool.affinity is Affinity.ANY or step.owner in (BlockOwner.OWN, BlockOwner.NONE):
            return self._first(pool, step.node if step.owner is BlockOwner.OWN else None, opened)
        candidates = [block for block in opened.values() if block.next_free_since is not None]
        if step.owner is BlockOwner.OTHER_WHILE_EMPTY:
            candidates = [
                each
                for each in candidates
                if not each.block.allocated and each.block.node not in (None, step.node)
            ]
        return min(candidates, key=lambda block: block.next_free_since or 0, default=None)

    def _first(self, pool: Pool, owner: NodeKey | None, opened: Mapping[int, OpenBlock]) -> OpenBlock | None:
        queue, has_one_queue = self._queues.get((pool.name, owner)), pool.affinity is Affinity.ANY
        while queue:
            since, number = queue[0]
            block = opened[number]
            if block.next_free_since == since and (block.block.node == owner or has_one_queue):
                return block
            heappop(queue)  # it has changed since, and waits at its new turn
        return None

    def _owner_of(self, block: OpenBlock) -> NodeKey | None:
        """The node in whose queue a block waits."""
        affine = self._catalogue.pools[block.block.pool].affinity is Affinity.NODE
        return block.block.node if affine else None
