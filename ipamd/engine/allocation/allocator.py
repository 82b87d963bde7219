"""The entrance for requests: each gets its place in the order of its node's calls, and an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ipamd.backends.interface import Backend, WaitForLocks
from ipamd.engine.allocation.attempts import Attempts
from ipamd.engine.allocation.batching import Batching
from ipamd.engine.allocation.boots import Boots
from ipamd.engine.allocation.call import AllocateCall, ReleaseCall, ReportCall
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.pool_choice import context_of
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue import RequestContext
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.measures import Measures
from ipamd.models.errors import DomainError
from ipamd.models.issued import CallOrder, Issued
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Outcome, Refused, Released
from ipamd.models.request import AllocationRequest, PoolNames, Release


class Reasons(Protocol):
    """Who says the rest of a refusal: how full the pools are, who has the address."""

    async def complete(self, refused: Refused, pool_names: PoolNames, context: RequestContext) -> Refused:
        """The refusal with what its reader needs; raises Unavailable."""
        ...


class Allocator:
    """Requests in, outcomes out: refusals are complete, with their reasons."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        cache: CatalogueCache,
        measures: Measures,
        reasons: Reasons,
        announcements: Announcements,
        freed: FreedBell,
    ) -> None:
        self._boots = Boots(backend, clock)
        self._attempts = Attempts(backend, clock, cache, measures, announcements, freed)
        self._batching = Batching(self._attempts, backend.lanes, measures)
        self._reasons = reasons

    @property
    def waiting(self) -> int:
        """How many calls wait for a batch."""
        return self._batching.waiting

    async def close(self) -> None:
        """Answer the calls under way, and end."""
        await self._batching.close()
        await self._attempts.close()

    async def submit(self, request: AllocationRequest | Release) -> Outcome:
        """Decide a request in a batch, durably."""
        try:
            return await self.submit_call(await self._ordered(request))
        except DomainError as error:
            return Refused(error)

    async def submit_report(self, call: ReportCall, timeout: float) -> Outcome:  # noqa: ASYNC109 - the caller's
        """Carry out events of a node's seats. Raises Unavailable if they cannot be queued."""
        return await self._batching.submit(call, timeout)

    async def release_together(self, releases: Sequence[Release]) -> Sequence[Outcome]:
        """Carry out releases of several holders in one transaction: all of them, or none.

        Raises Unavailable, InDoubt.
        """
        calls = [ReleaseCall(release, None, None) for release in releases]
        verdicts = await self._attempts.settle(calls, WaitForLocks(releases[0].timeout))
        return [verdict for verdict in verdicts if isinstance(verdict, Released | Refused)]

    async def order_of(self, node: NodeKey, issued: Issued) -> CallOrder:
        """The place of a moment in the order of a node's calls. Raises Unavailable."""
        return await self._boots.order_of(node, issued)

    async def submit_call(self, call: AllocateCall | ReleaseCall) -> Outcome:
        """Decide a call that has its place in the order. Raises Unavailable if it cannot be queued."""
        request = call.request if isinstance(call, AllocateCall) else call.release
        outcome = await self._batching.submit(call, request.timeout)
        if isinstance(outcome, Refused) and isinstance(request, AllocationRequest):
            return await self._completed(outcome, request)
        return outcome

    async def dry_run(self, request: AllocationRequest) -> Granted | Refused:
        """What a request would get now. Nothing is taken, noted or remembered."""
        node, issued = request.node_key, request.issued
        if node is None or issued is None:
            order = self._boots.order_on_arrival(node)
        else:
            order = await self._boots.order_if_heard(node, issued)
        return await self.dry_run_call(AllocateCall(request, order, request.digest, node))

    async def dry_run_call(self, call: AllocateCall) -> Granted | Refused:
        """What a call that has its place in the order would get."""
        outcome = await self._attempts.dry_run(call, WaitForLocks(call.request.timeout))
        return await self._completed(outcome, call.request) if isinstance(outcome, Refused) else outcome

    async def _completed(self, refused: Refused, request: AllocationRequest) -> Refused:
        return await self._reasons.complete(refused, request.pool_names, context_of(request))

    async def _ordered(self, request: AllocationRequest | Release) -> AllocateCall | ReleaseCall:
        if isinstance(request, AllocationRequest):
            node, issued = request.node_key, request.issued
            if node is None or issued is None:
                order = self._boots.order_on_arrival(node)
            else:
                order = await self._boots.order_of(node, issued)
            lease = request.seat.seat.node if request.seat is not None else None
            return AllocateCall(request, order, request.digest, node, lease)
        if request.node is None or request.issued is None:
            arrival = self._boots.order_on_arrival(request.node)
            return ReleaseCall(request, None, arrival if request.node is not None else None)
        order = await self._boots.order_of(request.node, request.issued, request.delivered)
        return ReleaseCall(request, order, order)
