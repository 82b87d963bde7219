"""What a batch searches for: certain blocks, and blocks with a free address, one kind of owner at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ipamd.backends.interface import BlockId, BlockOwner, BlockSearch, BlocksWithFree, Locked
from ipamd.engine.allocation.picked import NotYet
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.instant import SECOND
from ipamd.models.node import NodeKey

FIRST_GUESS: Final = 8
"""How many requests of a batch a block is first expected to serve.

A second search takes one block for each.
"""

MOST_BLOCKS: Final = 64
"""The most blocks that one search locks."""


class SearchStep:
    """One step: the blocks of a pool that belong to one kind of owner, and how the search for them stands.

    With a `count` it is for blocks in which so many addresses may be free.

    `demand` counts the requests that wait for the step. `searched` says that a search was made, `exhausted`
    that there is nothing more to find, `contended` that other transactions hold what there is.
    """

    __slots__ = ("contended", "count", "demand", "exhausted", "node", "owner", "pool", "searched")

    def __init__(self, pool: str, owner: BlockOwner, node: NodeKey | None, count: int = 1) -> None:
        self.pool = pool
        self.owner = owner
        self.node = node
        self.count = count
        self.demand = 0
        self.searched = self.exhausted = self.contended = False


class BatchSearches:
    """What the calls of a batch need next, and what earlier searches did not find."""

    def __init__(self, catalogue: Catalogue, clock: Reading) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._uncarved: set[BlockId] = set()
        self._contended: set[BlockId] = set()
        self._wanted: dict[BlockId, None] = {}
        self._steps: dict[tuple[str, BlockOwner, NodeKey | None, int], SearchStep] = {}

    def step(self, pool: str, owner: BlockOwner, node: NodeKey | None, count: int = 1) -> SearchStep:
        """One step, as it stands: those who look for the same share it."""
        key = pool, owner, None if owner is BlockOwner.ANY else node, count
        return self._steps.setdefault(key, SearchStep(*key))

    def is_uncarved(self, block: BlockId) -> bool:
        """Whether a block was searched, and does not exist."""
        return block in self._uncarved

    def want(self, block: BlockId) -> NotYet:
        """Why a block is not at hand; the next search looks for one that may be had.

        Raises StaleCatalogue for one that was searched and does not exist: its pool was made anew.
        """
        if block in self._uncarved:
            raise StaleCatalogue
        if block in self._contended:
            return NotYet.CONTENDED
        self._wanted[block] = None
        return NotYet.SEARCHING

    def searches(self, opened: Mapping[str, Iterable[int]]) -> list[BlockSearch]:
        """What was noted since the last search; `opened` has the numbers of each pool's open blocks."""
        searches: list[BlockSearch] = list(self._wanted)
        searches += [self._search(step, opened) for step in self._steps.values() if step.demand]
        self._wanted.clear()
        return searches

    def receive(self, search: BlockSearch, found: Locked) -> None:
        """Remember what a search did not find."""
        if isinstance(search, BlockId):
            if not found.blocks:
                (self._contended if found.passed_over else self._uncarved).add(search)
            return
        size = self._catalogue.pools[search.pool].block_size
        count = 1 if search.most_allocated is None else size - search.most_allocated
        step = self._steps[search.pool, search.owner, search.node, count]
        step.searched = True
        if len(found.blocks) < search.limit:
            step.contended |= found.passed_over
            step.exhausted |= not found.passed_over

    def _search(self, step: SearchStep, opened: Mapping[str, Iterable[int]]) -> BlocksWithFree:
        pool = self._catalogue.pools[step.pool]
        limit = step.demand if step.searched else -(-step.demand // FIRST_GUESS)
        if step.count > 1:
            limit = MOST_BLOCKS  # in most of those that have enough addresses these are not side by side
        step.demand = 0
        return BlocksWithFree(
            step.pool,
            step.owner,
            step.node,
            self._clock.past(pool.cooldown * SECOND),
            min(limit, MOST_BLOCKS),
            frozenset(opened.get(step.pool, ())),
            pool.block_size - step.count if step.count > 1 else None,
        )
