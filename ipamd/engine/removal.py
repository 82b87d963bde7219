"""A node that is gone: what it holds becomes free, and the node may be forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.engine.administration.changes import Administration
from ipamd.engine.allocation.block_returns import BlockReturns
from ipamd.engine.allocation.collection import Collector, Eviction
from ipamd.engine.census.censuses import Censuses
from ipamd.engine.leasing.leases import Leases
from ipamd.engine.publishing import Publishing
from ipamd.models.node import NodeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a node had: addresses of its containers, seats of its lease, its own addresses, blocks."""

    released: int
    seats: int
    own: int = 0
    blocks: int = 0


class Removal:
    """Frees what a node has that is gone for good, as somebody says, and forgets it."""

    def __init__(
        self,
        collector: Collector,
        leases: Leases,
        censuses: Censuses,
        administration: Administration,
        publishing: Publishing,
        blocks: BlockReturns,
    ) -> None:
        self._collector = collector
        self._leases = leases
        self._censuses = censuses
        self._administration = administration
        self._publishing = publishing
        self._blocks = blocks

    async def release(self, eviction: Eviction, *, even_if_alive: bool) -> Removed:
        """Free what a dead node has: its containers' addresses, and those that it holds in advance.

        Raises NotFound, NodeAlive, NodeMayGive, and the error that stopped it: the same again goes on.
        """
        epoch = await self._fence(eviction, even_if_alive=even_if_alive)
        return await self._free(eviction, epoch)

    async def remove(self, eviction: Eviction, *, even_if_alive: bool) -> Removed:
        """Free all that a node has, its blocks and its own addresses among it, and forget the node.

        It drains first, so that a node that lives after all gets nothing new meanwhile. Raises as `release`
        does: the same again goes on.
        """
        node = eviction.node
        epoch = await self._fence(eviction, even_if_alive=even_if_alive)
        await self._administration.drain_node(node, draining=True)
        freed = await self._free(eviction, epoch)
        own = await self._publishing.withdraw(node, eviction.by)
        blocks = await self._blocks.give_back(node)
        await self._publishing.forget(node, None, eviction.by)
        return Removed(released=freed.released, seats=freed.seats, own=own, blocks=blocks)

    async def drain(self, node: NodeKey, *, draining: bool) -> None:
        """Give a node's containers nothing new, or give to them again. Raises NotFound, Unavailable."""
        await self._collector.check_known(node)
        await self._administration.drain_node(node, draining=draining)

    async def _fence(self, eviction: Eviction, *, even_if_alive: bool) -> int | None:
        await self._collector.check_dead(eviction, even_if_alive=even_if_alive)
        return await self._leases.fence(eviction.node, even_if_alive=even_if_alive)

    async def _free(self, eviction: Eviction, epoch: int | None) -> Removed:
        released = await self._collector.evict(eviction)
        seats = await self._leases.take_all(eviction.node, epoch) if epoch is not None else 0
        await self._censuses.forget(eviction.node)
        return Removed(released=len(released.addresses), seats=seats)
