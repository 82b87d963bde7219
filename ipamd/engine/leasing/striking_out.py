"""A call of the boot that has a lease strikes out another that is noted for it: one of them is a clone."""

from __future__ import annotations

import asyncio

import structlog

from ipamd.backends.interface import Backend, Changes, InDoubt, Transaction
from ipamd.engine.leasing.locking import LOCKS, locked_lease
from ipamd.engine.leasing.news import News
from ipamd.engine.leasing.tenancy import without_note
from ipamd.models.errors import DomainError
from ipamd.models.node import NodeKey
from ipamd.models.request import AllocationRequest, Release

log = structlog.get_logger()


class StrikingOut:
    """Looks at the plugin's calls, as long as another boot is noted for any lease. Else it costs nothing."""

    def __init__(self, backend: Backend, news: News) -> None:
        self._backend = backend
        self._news = news
        self._under_way: set[asyncio.Task[None]] = set()

    def heard(self, request: AllocationRequest | Release) -> None:
        """Note a call. One that was delivered later, out of a spool, says nothing of who lives."""
        if not self._news.noted or request.issued is None:
            return
        node = request.node_key if isinstance(request, AllocationRequest) else request.node
        delivered = request.delivered if isinstance(request, Release) else None
        lease = self._news.noted.get(node) if node is not None else None
        boot = request.issued.boot
        if lease is not None and boot == lease.boot != lease.noted_boot and delivered is None:
            del self._news.noted[lease.node]
            task = asyncio.create_task(self._strike_out(lease.node, boot))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _strike_out(self, node: NodeKey, boot: str) -> None:
        async def work(transaction: Transaction) -> bool:
            known = await locked_lease(transaction, node)
            if known is None or known.noted is None or known.boot != boot:
                return False
            await transaction.write(Changes(leases=[without_note(known)]))
            return True

        try:
            if await self._backend.transact(work, LOCKS):
                log.warning("lease", outcome="struck out", node=node.name, boot=boot)
        except (DomainError, InDoubt) as error:
            log.warning("lease", outcome="not struck out", node=node.name, why=str(error))
