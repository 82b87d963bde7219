"""Makes new blocks, in short transactions of their own that hold no other block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from itertools import islice
from typing import Final

from ipamd.backends.interface import Transaction
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.models.block import Block, new_block
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Pool

LONGEST_STRIDE: Final = 64
"""The most blocks that are carved ahead of their need."""

WINDOW: Final = 256
"""How many block numbers one statement tries."""

WINDOWS: Final = 16
"""How many statements one transaction tries: after a change of the mask the way to the next may be long."""


class Carver:
    """Remembers, for this process, how fast pools grow and which have no block left to carve.

    A pool without affinity is carved in strides that double, so that a pool that grows costs few commits;
    a block of a node is carved alone, for it serves that node only.
    """

    def __init__(self) -> None:
        self._strides: dict[str, int] = {}
        self._carved_out: dict[str, int] = {}

    def rehearsing(self) -> Carver:
        """One that carves what this one would carve next, for a transaction that is undone."""
        other = Carver()
        other._strides = dict(self._strides)
        return other

    def carved_out(self, catalogue: Catalogue) -> frozenset[str]:
        """What is carved out as of this revision: pools of which every block is carved, and the like."""
        return frozenset(
            each for each, revision in self._carved_out.items() if revision == catalogue.revision
        )

    def remember(self, carved_out: Set[str], catalogue: Catalogue) -> None:
        """Note what a transaction found carved out, once it is durable."""
        self._carved_out.update(dict.fromkeys(carved_out, catalogue.revision))

    async def carve(
        self, wanted: Sequence[NeedsBlock], transaction: Transaction, catalogue: Catalogue
    ) -> Set[str]:
        """Carve what requests lack; what is carved out (`carvable`). Nothing is announced: see `announced`.

        Raises StaleCatalogue when the mask may not be the one known here.
        """
        if await transaction.pin_catalogue() != catalogue.revision:
            raise StaleCatalogue
        lacking: Counter[tuple[str, NodeKey | None]] = Counter()
        prefixes: Counter[NeedsBlock] = Counter()
        certain: dict[tuple[str, int], NodeKey | None] = {}
        for each in wanted:
            if each.pool not in catalogue.pools:
                continue
            if each.count > 1:
                prefixes[each] += 1
            elif each.first is None:
                lacking[each.pool, each.node] += 1
            else:
                certain[each.pool, each.first] = each.node
        for (name, first), node in certain.items():
            pool = catalogue.pools[name]
            if pool.block_of(first) == first:
                await transaction.carve(name, [_certain_block(pool, first, node, catalogue)], None)
        carved_out = set()
        for (name, node), requests in lacking.items():
            if not await self._carve_next(catalogue.pools[name], node, requests, transaction, catalogue):
                carved_out.add(name)
        for each, requests in prefixes.items():
            if not await self._carve_for_prefixes(each, requests, transaction, catalogue):
                carved_out.add(each.carvable)
        return carved_out

    @staticmethod
    def announced(wanted: Sequence[NeedsBlock], catalogue: Catalogue) -> frozenset[Announced]:
        """Whose new blocks the other nodes are to hear of."""
        return frozenset(
            Announced(each.node.cluster, AnnouncedKind.NODE, each.node.name)
            for each in wanted
            if each.node is not None and catalogue.announces(each.pool, each.node.cluster)
        )

    async def _carve_next(
        self, pool: Pool, node: NodeKey | None, requests: int, transaction: Transaction, catalogue: Catalogue
    ) -> bool:
        """Carve from the pool's cursor on, past the blocks that exist; False when there is nothing beyond."""
        needed = -(-requests // pool.block_size)
        if node is None:
            needed = max(needed, self._strides.get(pool.name, 1))
            self._strides[pool.name] = min(2 * needed, LONGEST_STRIDE)
        mask = catalogue.mask(pool)
        cursor = await transaction.cursor(pool.name)
        for _ in range(WINDOWS):
            numbers = list(islice(mask.blocks_from(cursor), min(needed, WINDOW)))
            if not numbers:
                return False
            cursor = numbers[-1] + pool.block_size
            blocks = [new_block(pool.name, first, pool.block_size, node) for first in numbers]
            needed -= await transaction.carve(pool.name, blocks, cursor)
            if needed <= 0:
                break
        return True

    async def _carve_for_prefixes(
        self, wanted: NeedsBlock, requests: int, transaction: Transaction, catalogue: Catalogue
    ) -> bool:
        """Carve from the pool's cursor on, up to blocks with room for prefixes; False if none is beyond.

        The blocks on the way are carved too: they are for single addresses.
        """
        pool = catalogue.pools[wanted.pool]
        needed = -(-requests * wanted.count // pool.block_size)
        mask = catalogue.mask(pool)
        cursor = await transaction.cursor(pool.name)
        for _ in range(WINDOWS):
            numbers = list(islice(mask.blocks_from(cursor), WINDOW))
            fitting = [number for number in numbers if mask.has_prefix(number, wanted.count)][:needed]
            if not fitting and len(numbers) < WINDOW:
                return False
            last = fitting[-1] if fitting else numbers[-1]
            cursor = last + pool.block_size
            passed = [first for first in numbers if first <= last]
            blocks = [new_block(pool.name, first, pool.block_size, wanted.node) for first in passed]
            new = await transaction.carve(pool.name, blocks, cursor)
            needed -= min(new, len(fitting))
            if needed <= 0:
                break
        return True


def _certain_block(pool: Pool, first: int, node: NodeKey | None, catalogue: Catalogue) -> Block:
    """A new block, of which all may be reserved: then it has no next address."""
    block = new_block(pool.name, first, pool.block_size, node)
    if not catalogue.mask(pool).assignable_in(first):
        block.next_free_since = None
    return block
