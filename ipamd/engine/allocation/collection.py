"""What a node holds and shall hold no longer: by its runtime's list (CNI GC), or because it is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.upkeep import Upkeep
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Ending
from ipamd.models.errors import DomainError, NodeAlive, NotFound
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND
from ipamd.models.issued import Issued
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Released
from ipamd.models.query import AllocationQuery
from ipamd.models.request import Release

PAGE: Final = 500

LATELY: Final = 15 * 60 * SECOND
"""Who called since may live on: a node that runs calls at each pod's beginning and end, and not between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A runtime's list of what lives: of one network on one node, for each runtime knows just its own.

    `keep` has container ID and interface name of each attachment that stays (CNI 1.1.0, "GC").
    """

    cluster: str
    node: str
    network: str
    keep: frozenset[tuple[str, str]]
    issued: Issued | None
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """The end of all that a node's containers hold: who says so (`by`), and why."""

    node: NodeKey
    reason: str
    by: str | None
    timeout: float = 10.0


class Collector:
    """Frees what a node shall hold no longer."""

    def __init__(
        self, allocator: Allocator, ledger: Ledger, cache: CatalogueCache, clock: Clock, upkeep: Upkeep
    ) -> None:
        self._allocator = allocator
        self._ledger = ledger
        self._cache = cache
        self._clock = clock
        self._upkeep = upkeep

    async def collect(self, collection: Collection) -> Released:
        """Free what a runtime no longer knows (CNI GC); raises the error that stopped it, if any."""
        return await self._free(leftovers(collection, self._ledger))

    async def check_dead(self, eviction: Eviction, *, even_if_alive: bool) -> None:
        """Raise if a node lives or is not known: NodeAlive, NotFound."""
        heard = await self._upkeep.contact(eviction.node)
        if heard is not None and not even_if_alive and heard > self._clock.read().past(LATELY):
            raise NodeAlive(eviction.node.name, heard)
        await self.check_known(eviction.node)

    async def check_known(self, node: NodeKey) -> None:
        """Raise NotFound if ipamd never heard of a node: it has not called, holds nothing, has no entry."""
        heard = await self._upkeep.contact(node)
        holds = await self._ledger.page(AllocationQuery(cluster=node.cluster, node=node.name), None, 1)
        known = heard is not None or holds or await self._ledger.leases(node)
        if not known and node not in (await self._cache.refresh()).snapshot.nodes:
            raise NotFound("node", f"{node.cluster}/{node.name}")

    async def evict(self, eviction: Eviction) -> Released:
        """Free what the containers of a dead node held. Raises the error that stopped it, if any.

        What it was stopped before is still held: the same again goes on.
        """
        return await self._free(holdings(eviction, self._ledger))

    async def _free(self, releases: AsyncGenerator[list[Release], None]) -> Released:
        freed: list[IPAddress] = []
        spared = 0
        failed: DomainError | None = None
        async with aclosing(releases) as pages:
            async for page in pages:
                for outcome in await asyncio.gather(*map(self._allocator.submit, page)):
                    if isinstance(outcome, Released):
                        freed += outcome.addresses
                        spared += outcome.spared
                    elif isinstance(outcome, Refused):
                        failed = outcome.error
        if failed is not None:
            raise failed
        return Released(tuple(freed), spared)


async def leftovers(collection: Collection, ledger: Ledger) -> AsyncGenerator[list[Release], None]:
    """The releases of what is held and not in the list, page by page."""
    query = AllocationQuery(cluster=collection.cluster, node=collection.node, network=collection.network)
    after: int | None = None
    while rows := await ledger.page(query, after, PAGE):
        after = rows[-1].id
        stale = {
            row.digest
            for row in rows
            if isinstance(row.holder, Identity)
            and (row.holder.container_id, row.holder.ifname) not in collection.keep
        }
        yield [
            Release(
                digest=digest,
                node=NodeKey(collection.cluster, collection.node),
                issued=collection.issued,
                ending=Ending.COLLECTED,
                timeout=collection.timeout,
            )
            for digest in stale
        ]


async def holdings(eviction: Eviction, ledger: Ledger) -> AsyncGenerator[list[Release], None]:
    """The releases of all that a node's containers hold, page by page.

    No late ADD is told of them: should the node live on, what its containers use can be taken over again.
    """
    cluster, name = eviction.node
    after: int | None = None
    while rows := await ledger.page(AllocationQuery(cluster=cluster, node=name), after, PAGE):
        after = rows[-1].id
        yield [
            Release(
                digest=digest,
                ending=Ending.ADMIN,
                timeout=eviction.timeout,
                by=eviction.by,
                reason=eviction.reason,
            )
            for digest in dict.fromkeys(row.digest for row in rows if isinstance(row.holder, Identity))
        ]
