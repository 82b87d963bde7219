"""CNI GC: what of a node's addresses in one network the runtime no longer knows."""

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
