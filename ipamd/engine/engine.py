"""The engine as its edges see it: requests in, outcomes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from ipamd.backends.interface import Backend
from ipamd.engine.administration.administration import Administration
from ipamd.engine.administration.tokens import Tokens
from ipamd.engine.allocation.adoption import (
    BEFORE_EVERY_CALL,
    WHAT_WAS_ADOPTED,
    Adopted,
    Attachment,
    Standing,
    adopt,
    adopted_only,
)
from ipamd.engine.allocation.attempts import Attempts
from ipamd.engine.allocation.batching import Batching
from ipamd.engine.allocation.boots import Boots
from ipamd.engine.allocation.call import AllocateCall, Call, ReleaseCall
from ipamd.engine.allocation.candidates import why_nothing
from ipamd.engine.allocation.collection import Collection, Eviction, holdings, leftovers
from ipamd.engine.allocation.selection import MOST_NAMED, PoolNames, alternatives, context_of
from ipamd.engine.catalogue import Catalogue, RequestContext
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock, wall_clock
from ipamd.engine.inspection.check import Check
from ipamd.engine.inspection.explanation import explain
from ipamd.engine.inspection.usage import Usage, fullness, usage, usage_of_all
from ipamd.engine.measures import Measures
from ipamd.engine.pruning import Pruning
from ipamd.engine.upkeep import Upkeep
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Ending
from ipamd.models.errors import (
    AddressTaken,
    AddressUnavailable,
    DomainError,
    NodeAlive,
    NotFound,
    NotHeld,
    NothingFree,
)
from ipamd.models.explanation import Explanation
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Outcome, Refused, Released
from ipamd.models.pool import PoolState
from ipamd.models.query import AllocationQuery
from ipamd.models.request import AllocationRequest, Release

LATELY: Final = 15 * 60 * SECOND
"""Who called since may live on: a node that runs calls at each pod's beginning and end, and not between."""

log = structlog.get_logger()


class Engine:
    """Decides who gets which address; one for each process."""

    def __init__(self, backend: Backend, clock: Clock, history_days: int) -> None:
        self.backend = backend
        self._clock = clock
        self._cache = CatalogueCache(backend)
        known, refresh = lambda: self.catalogue, self._cache.refresh
        self._upkeep = Upkeep(backend, clock, known)
        self._boots = Boots(backend, clock)
        self.measures = Measures()
        self._attempts = Attempts(backend, clock, known, refresh, self.measures)
        self._batching = Batching(self._attempts, backend.lanes, self.measures)
        self._tasks = [asyncio.create_task(each.run()) for each in (self._upkeep, self._cache)]
        if history_days:
            self._tasks.append(asyncio.create_task(Pruning(backend, clock, history_days).run()))
        self.administration = Administration(backend, known, refresh)
        self.tokens = Tokens(backend, known, refresh, clock)
        self.consistency = Check(backend, refresh, self._upkeep.contacts)

    @classmethod
    async def open(cls, backend: Backend, clock: Clock | None = None, history_days: int = 0) -> Engine:
        """An engine that knows the catalogue and takes requests.

        Allocations that ended more than `history_days` ago are dropped; 0 keeps them for ever.
        """
        engine = cls(backend, clock or wall_clock(), history_days)
        await engine.refresh()
        return engine

    async def close(self) -> None:
        """Answer what was taken, write what is only in memory, and let the database go."""
        await self._batching.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upkeep.end()
        await self.backend.close()

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def catalogue(self) -> Catalogue:
        """As it was last loaded."""
        return self._cache.catalogue

    async def refresh(self) -> Catalogue:
        """Load what admins changed since it was last loaded."""
        return await self._cache.refresh()

    async def recent(self) -> Catalogue:
        """The catalogue, young enough to say who may ask; raises Unavailable."""
        return await self._cache.recent()

    @property
    def is_stale(self) -> bool:
        """Whether it is not: then `recent` has to be waited for."""
        return self._cache.is_stale

    async def submit(self, request: AllocationRequest | Release) -> Outcome:
        """Decide a request with the batch that it falls into, durably."""
        try:
            call = await self._ordered(request)
            outcome = await self._batching.submit(call, request.timeout)
            if isinstance(outcome, Refused) and isinstance(request, AllocationRequest):
                return await self._told(outcome, request.pool_names, context_of(request))
        except DomainError as error:
            return Refused(error)
        return outcome

    async def explain(self, request: AllocationRequest) -> Explanation:
        """What would become of a request now, and why: nothing is taken, noted or remembered of it."""
        await self.refresh()
        node, issued = request.node_key, request.issued
        if node is None or issued is None:
            order = self._boots.order_on_arrival(node)
        else:
            order = await self._boots.order_if_heard(node, issued)
        outcome = await self._attempts.rehearse(
            AllocateCall(request, order, request.digest, node), request.timeout
        )
        if isinstance(outcome, Refused):
            outcome = await self._told(outcome, request.pool_names, context_of(request))
        return await explain(request, outcome, self.catalogue, self.backend.ledger, self._clock())

    async def check(self, identity: Identity, seen: Sequence[IPAddress]) -> Refused | None:
        """Whether a container holds addresses, and its interface still has all of them (CNI CHECK)."""
        held = await self.backend.ledger.held_by(identity.digest)
        if not held:
            return Refused(NotHeld(f"container {identity.container_id} holds no address: run ADD again"))
        for row in held:
            if row.address not in seen:
                listed = ", ".join(map(str, seen)) or "none"
                why = f"it is held for this container, and prevResult lists {listed}"
                return Refused(AddressUnavailable(row.address, why))
        return None

    async def collect(self, collection: Collection) -> Released:
        """Free what a runtime no longer knows (CNI GC); raises the error that stopped it, if any."""
        return await self._free(leftovers(collection, self.backend.ledger))

    async def adopt(
        self, attachments: Sequence[Attachment], space: str, by: str | None, *, rehearse: bool
    ) -> list[Adopted]:
        """Give containers the addresses that they use already; with `rehearse` nothing is taken.

        Raises Unavailable: the same again goes on.
        """
        catalogue, ledger = await self.refresh(), self.backend.ledger
        if rehearse:
            return [
                await adopt(each, space, by, catalogue, ledger, self._rehearse_adoption)
                for each in attachments
            ]
        calls = (adopt(each, space, by, catalogue, ledger, self._adopt) for each in attachments)
        return await asyncio.gather(*calls)

    async def disown(self, gone: Sequence[Identity], by: str | None, *, rehearse: bool) -> list[Adopted]:
        """Free what was adopted for containers that are gone, and nothing that a call of theirs was told of.

        Runtimes that delete a container by the configuration that it began with never tell ipamd of its end.
        Answers for those that had something; raises what stopped it.
        """
        freed = []
        for identity in gone:
            addresses = adopted_only(await self.backend.ledger.held_by(identity.digest))
            if addresses and not rehearse:
                release = Release(digest=identity.digest, ending=Ending.COLLECTED, by=by)
                outcome = await self._batching.submit(
                    ReleaseCall(release, WHAT_WAS_ADOPTED, None), release.timeout
                )
                if isinstance(outcome, Refused):
                    raise outcome.error
                addresses = outcome.addresses if isinstance(outcome, Released) else ()
            if addresses:
                freed.append(Adopted(Attachment(identity, addresses), Standing.RELEASED, addresses, ()))
        return freed

    async def _adopt(self, request: AllocationRequest) -> Outcome:
        ask = AllocateCall(request, BEFORE_EVERY_CALL, request.digest, request.node_key)
        outcome = await self._batching.submit(ask, request.timeout)
        return await self._told(outcome, (), context_of(request)) if isinstance(outcome, Refused) else outcome

    async def _rehearse_adoption(self, request: AllocationRequest) -> Outcome:
        ask = AllocateCall(request, BEFORE_EVERY_CALL, request.digest, request.node_key)
        outcome = await self._attempts.rehearse(ask, request.timeout)
        return await self._told(outcome, (), context_of(request)) if isinstance(outcome, Refused) else outcome

    async def evict(self, eviction: Eviction, *, even_if_alive: bool) -> Released:
        """Free what a dead node held. Raises NotFound, NodeAlive, and the error that stopped it, if any.

        What it was stopped before is still held: the same again goes on.
        """
        node, heard = eviction.node, (await self.contacts()).get(eviction.node)
        if heard is not None and not even_if_alive and self._clock() - heard < LATELY:
            raise NodeAlive(node.name, heard)
        holds = await self.backend.ledger.page(AllocationQuery(cluster=node.cluster, node=node.name), None, 1)
        if heard is None and not holds and node not in (await self.refresh()).snapshot.nodes:
            raise NotFound("node", f"{node.cluster}/{node.name}")
        return await self._free(holdings(eviction, self.backend.ledger))

    async def _free(self, releases: AsyncGenerator[list[Release], None]) -> Released:
        freed: list[IPAddress] = []
        spared = 0
        failed: DomainError | None = None
        async with aclosing(releases) as pages:
            async for page in pages:
                for outcome in await asyncio.gather(*map(self.submit, page)):
                    if isinstance(outcome, Released):
                        freed += outcome.addresses
                        spared += outcome.spared
                    elif isinstance(outcome, Refused):
                        failed = outcome.error
        if failed is not None:
            raise failed
        return Released(tuple(freed), spared)

    async def usage(self, pool: str) -> Usage:
        """How full a pool is; raises NotFound."""
        known = self.catalogue.pools.get(pool)
        if known is None:
            raise NotFound("pool", pool)
        return await usage(known, self.catalogue, self.backend.ledger, self._clock())

    async def usage_of_all(self) -> Mapping[str, Usage]:
        """How full every pool is."""
        return await usage_of_all(self.catalogue, self.backend.ledger, self._clock())

    @property
    def waiting(self) -> int:
        """How many calls wait for a batch."""
        return self._batching.waiting

    async def has_room(
        self, pool_names: PoolNames, node: NodeKey, network: str, namespace: str | None = None
    ) -> DomainError | None:
        """Why a request with these pool_names would find nothing free; None when it would be served."""
        context = RequestContext(node.cluster, network, node.name, namespace)
        try:
            chosen = alternatives(pool_names, context, await self.refresh())
        except DomainError as error:
            return error
        for pools in chosen:
            counted = [await self.usage(pool.name) for pool in pools if pool.state is PoolState.ACTIVE]
            if not any(each.free > 0 for each in counted):
                nothing = Refused(NothingFree(tuple(pool.name for pool in pools)))
                return (await self._told(nothing, pool_names, context)).error
        return None if chosen else (await self._told(Refused(NothingFree(())), pool_names, context)).error

    def heard_from(self, node: NodeKey) -> None:
        """Note that a node called."""
        self._upkeep.heard_from(node)

    def used(self, token: int) -> None:
        """Note that a token was shown."""
        self._upkeep.used(token)

    async def uses(self) -> Mapping[int, Instant]:
        """When each token was last used, as far as it is written or this process saw it."""
        return await self._upkeep.uses()

    async def contacts(self) -> Mapping[NodeKey, Instant]:
        """When each node last called, as far as it is written or this process heard it."""
        return await self._upkeep.contacts()

    async def _ordered(self, request: AllocationRequest | Release) -> Call:
        if isinstance(request, AllocationRequest):
            node, issued = request.node_key, request.issued
            if node is None or issued is None:
                order = self._boots.order_on_arrival(node)
            else:
                order = await self._boots.order_of(node, issued)
            return AllocateCall(request, order, request.digest, node)
        if request.node is None or request.issued is None:
            arrival = self._boots.order_on_arrival(request.node)
            return ReleaseCall(request, None, arrival if request.node is not None else None)
        order = await self._boots.order_of(request.node, request.issued, request.delivered)
        return ReleaseCall(request, order, order)

    async def _told(self, refused: Refused, pool_names: PoolNames, context: RequestContext) -> Refused:
        """A refusal with what its reader needs: how full the pools are, who has the address."""
        error, ledger = refused.error, self.backend.ledger
        if isinstance(error, NothingFree):
            catalogue = self.catalogue
            full = await fullness(error.pools[:MOST_NAMED], catalogue, ledger, self._clock())
            return Refused(NothingFree(error.pools, why_nothing(pool_names, context, catalogue, full)))
        if isinstance(error, AddressTaken):
            query = AllocationQuery(address=error.address, space=error.space)
            for row in await ledger.page(query, None, 1):
                return Refused(AddressTaken(error.space, error.address, row.held_by, row.id))
        return refused
