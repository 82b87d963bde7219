"""Releases that free nothing while their container still holds addresses under another name.

A node that changed its name, or a configuration that lost `node`, frees nothing and gets a yes: whoever looks
for the leak finds this line.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from ipamd.api.call_measures import CallMeasures
from ipamd.backends.interface import InDoubt
from ipamd.engine.inspection.queries import Queries
from ipamd.models.allocation import Allocation
from ipamd.models.errors import DomainError
from ipamd.models.identity import Digest, Identity
from ipamd.models.query import AllocationQuery

MOST_WAITING: Final = 256
"""Releases that wait to be looked at; one more is passed over: this tells that there are leaks, not all."""

MOST_REMEMBERED: Final = 4096
MOST_NAMED: Final = 4

log = structlog.get_logger()


class HeldElsewhere:
    """Looks, after the answer and one after another, whether a release meant somebody else's addresses."""

    def __init__(self, queries: Queries, measures: CallMeasures) -> None:
        self._queries = queries
        self._measures = measures
        self._waiting: dict[Identity, None] = {}
        self._freed: dict[Digest, None] = {}
        self._looking: asyncio.Task[None] | None = None

    def freed(self, holder: Digest) -> None:
        """Note a release that freed something: runtimes repeat it, and the repeat frees nothing."""
        self._freed[holder] = None
        if len(self._freed) > MOST_REMEMBERED:
            del self._freed[next(iter(self._freed))]

    def freed_nothing(self, identity: Identity) -> None:
        """Look into a release that freed nothing."""
        if identity.digest in self._freed or len(self._waiting) >= MOST_WAITING:
            return
        self._waiting[identity] = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self._waiting:
            identity = next(iter(self._waiting))
            del self._waiting[identity]
            query = AllocationQuery(cluster=identity.cluster, container_id=identity.container_id)
            try:
                found = await self._queries.allocations(query, None, MOST_NAMED)
            except (DomainError, InDoubt) as error:
                log.debug("del", outcome="not looked into", why=str(error))
                continue
            held = [_named(row, holder) for row in found if isinstance(holder := row.holder, Identity)]
            if held and identity not in (row.holder for row in found):
                self._tell(identity, held)

    def _tell(self, identity: Identity, held: list[str]) -> None:
        self._measures.held_elsewhere += 1
        log.warning(
            "del",
            outcome="held elsewhere",
            cluster=identity.cluster,
            network=identity.network,
            node=identity.node,
            container_id=identity.container_id,
            ifname=identity.ifname,
            why=f"nothing was held under this name, and the same container holds {'; '.join(held)}",
        )


def _named(row: Allocation, holder: Identity) -> str:
    return f"{row.address} as {holder.ifname} of network {holder.network} on node {holder.node}"
