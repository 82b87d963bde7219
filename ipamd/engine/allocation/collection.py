"""What a node holds and shall hold no longer: by its runtime's list (CNI GC), or because it is dead."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.models.allocation import Ending
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.node import NodeKey
from ipamd.models.query import AllocationQuery
from ipamd.models.request import Release

PAGE: Final = 500


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
    patience: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """The end of all that a node's containers hold: who says so (`by`), and why."""

    node: NodeKey
    reason: str
    by: str | None
    patience: float = 10.0


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
                timeout=collection.patience,
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
                timeout=eviction.patience,
                by=eviction.by,
                reason=eviction.reason,
            )
            for digest in dict.fromkeys(row.digest for row in rows if isinstance(row.holder, Identity))
        ]
