"""Gives the blocks of a node that is gone back to their pools, so that any node may have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ipamd.backends.interface import Backend, BlockId, Changes, Transaction, WaitForLocks
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.identity import Identity
from ipamd.models.lease import node_of_seats
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Pool

LOCKS: Final = WaitForLocks(5.0)
AT_ONCE: Final = 64
"""How many blocks one transaction gives back: others wait for them meanwhile."""


class BlockReturns:
    """The blocks that nodes give back."""

    def __init__(self, backend: Backend, cache: CatalogueCache, announcements: Announcements) -> None:
        self._backend = backend
        self._cache = cache
        self._announcements = announcements

    async def give_back(self, node: NodeKey) -> int:
        """Give back the blocks in which a node has nothing. Returns how many. Raises Unavailable, InDoubt.

        What other nodes have borrowed from them stays theirs.
        """
        catalogue = await self._cache.refresh()
        ledger = self._backend.ledger
        holdings = await ledger.holdings([node], sorted(catalogue.pools), 0)
        returned = 0
        for name in sorted(holdings[node].blocks) if node in holdings else ():
            blocks = await ledger.blocks_of_node(name, node)
            for begin in range(0, len(blocks), AT_ONCE):
                some = [block.first for block in blocks[begin : begin + AT_ONCE]]
                returned += await self._give_back(catalogue.pools[name], some, node, catalogue)
        self._announcements.ring()
        return returned

    async def _give_back(self, pool: Pool, firsts: Sequence[int], node: NodeKey, catalogue: Catalogue) -> int:
        async def work(transaction: Transaction) -> int:
            locked = await transaction.lock([BlockId(pool.name, first) for first in firsts])
            returned: list[Block] = []
            for block in (block for one in locked for block in one.blocks):
                record = await transaction.record(pool, block.first)
                if block.node == node and not any(_is_of(node, row) for row in record.live):
                    block.node = None
                    returned.append(block)
            changes = Changes(blocks=returned)
            if returned and catalogue.announces(pool.name, node.cluster):
                changes.announced = frozenset({Announced(node.cluster, AnnouncedKind.NODE, node.name)})
            await transaction.write(changes)
            return len(returned)

        return await self._backend.transact(work, LOCKS)


def _is_of(node: NodeKey, row: Allocation) -> bool:
    """Whether an address is a container's or a free seat's of a node: announced with the node's block."""
    if isinstance(row.holder, Identity):
        return row.holder.node_key == node
    return row.is_free_seat and node_of_seats(row.holder.name) == node
