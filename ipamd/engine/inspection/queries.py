"""Queries about allocations, usage and the database. They only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ipamd.backends.interface import NOT_ADDED_UP, Backend
from ipamd.engine.allocation.pool_choice import alternatives
from ipamd.engine.catalogue import RequestContext
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.forecast import Forecast, forecast
from ipamd.engine.inspection.refusals import Refusals
from ipamd.engine.inspection.usage import Usage, usage, usage_of, usage_of_all
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import HELD, Block
from ipamd.models.change_log import LogPage, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestQuery
from ipamd.models.errors import AddressUnavailable, DomainError, NotFound, NotHeld, NothingFree
from ipamd.models.hold import HoldUse
from ipamd.models.identity import Digest, Identity
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused
from ipamd.models.pool import Pool, PoolState
from ipamd.models.query import AllocationPage, AllocationQuery, HistoryQuery
from ipamd.models.quota import TallyUse
from ipamd.models.request import PoolNames
from ipamd.models.sample import DAY, HOUR, UsageSample


class QuotaUse(NamedTuple):
    """A limit, and how many addresses are used of it."""

    limit: int
    used: int


class Queries:
    """The queries of the edges. Each may raise Unavailable."""

    def __init__(self, backend: Backend, cache: CatalogueCache, clock: Clock, refusals: Refusals) -> None:
        self._backend = backend
        self._ledger = backend.ledger
        self._cache = cache
        self._clock = clock
        self._refusals = refusals

    async def ready(self) -> str | None:
        """None if the database answers and its schema fits, else a sentence that says what is wrong."""
        return await self._backend.ready()

    async def allocations(
        self, query: AllocationQuery, after: int | None, limit: int
    ) -> Sequence[Allocation]:
        """A page of live allocations. `after` is the id of the last one of the page before."""
        return await self._ledger.page(query, after, limit)

    async def bounded_page(self, query: AllocationQuery, after: int | None, limit: int) -> AllocationPage:
        """A page of live allocations; `after` is `next` of the page before. Only so much is read for it."""
        return await self._ledger.bounded_page(query, after, limit)

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> AllocationPage:
        """A page of allocations, live and ended, latest first. `before` is `next` of the page before.

        So much is read for it at most.
        """
        return await self._ledger.bounded_history(query, before, limit)

    async def log(self, query: LogQuery, before: int | None, limit: int) -> LogPage:
        """A page of the change log, latest first. `before` is `next` of the page before."""
        return await self._ledger.log(query, before, limit)

    async def requests(self, query: RequestQuery, before: int | None, limit: int) -> Sequence[ChangeRequest]:
        """A page of change requests, latest first. `before` is the last id of the page before."""
        return await self._ledger.requests(query, before, limit)

    async def request(self, number: int) -> ChangeRequest:
        """One change request. Raises NotFound."""
        known = await self._ledger.request(number)
        if known is None:
            raise NotFound("request", str(number))
        return known

    async def most_used(self) -> Mapping[str, int]:
        """What the fullest namespace uses of each quota, without quotas of which nothing is used."""
        return await self._ledger.most_used()

    async def quota_uses(self) -> Mapping[str, QuotaUse]:
        """The limit of each quota, and what the fullest namespace uses of it, by name."""
        quotas = self._cache.catalogue.snapshot.quotas
        used = await self._ledger.most_used() if quotas else {}
        return {name: QuotaUse(quotas[name].limit, used.get(name, 0)) for name in sorted(quotas)}

    async def uses_of(self, quota: str, limit: int) -> Sequence[TallyUse]:
        """The namespaces that use most of a quota."""
        return await self._ledger.tallies(quota, limit)

    async def use_of_hold(self, hold: str) -> HoldUse:
        """What is left of a hold, and what is taken."""
        return (await self._ledger.hold_uses([hold])).get(hold, HoldUse())

    async def uses_of_holds(self) -> Mapping[str, HoldUse]:
        """What is left of each hold, and what is taken, by name."""
        holds = self._cache.catalogue.snapshot.holds
        uses = await self._ledger.hold_uses(None) if holds else {}
        return {name: uses.get(name, HoldUse()) for name in sorted(holds)}

    async def allocation(self, number: int) -> Allocation:
        """One allocation, live or ended. Raises NotFound."""
        row = await self._ledger.allocation(number)
        if row is None:
            raise NotFound("allocation", str(number))
        return row

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        """The allocation of a request with this key, live or ended."""
        return await self._ledger.by_idempotency_key(key)

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        """The live allocations of one holder, by position."""
        return await self._ledger.held_by(digest)

    async def check(self, identity: Identity, seen: Sequence[IPAddress]) -> Refused | None:
        """Whether a container holds addresses, and its interface still has all of them (CNI CHECK)."""
        held = await self._ledger.held_by(identity.digest)
        if not held:
            return Refused(NotHeld(f"container {identity.container_id} holds no address: run ADD again"))
        for row in held:
            if row.prefix_length is None and row.address not in seen:
                listed = ", ".join(map(str, seen)) or "none"
                why = f"this container holds it, but prevResult lists {listed}"
                return Refused(AddressUnavailable(row.address, why))
        return None

    async def blocks(self, pool: str, first: int, last: int) -> Sequence[Block]:
        """The blocks of a pool that have any address from `first` to `last`, with the past of each."""
        return await self._ledger.blocks(pool, HELD, (first, last))

    async def allocated_in(self, pool: str, stretches: Sequence[tuple[int, int]]) -> Sequence[int]:
        """How many addresses are allocated in each stretch of whole blocks."""
        return await self._ledger.allocated_in(pool, stretches)

    async def allocated(self) -> Mapping[str, int]:
        """How many addresses of each pool are held, also in advance; nothing of pools without blocks."""
        return await self._ledger.allocated()

    async def usage(self, pool: str) -> Usage:
        """How full a pool is. Raises NotFound."""
        catalogue = self._cache.catalogue
        known = catalogue.pools.get(pool)
        if known is None:
            raise NotFound("pool", pool)
        return await usage(known, catalogue, self._ledger, self._clock.read())

    async def away(self, pool: str | None = None) -> Mapping[str, int]:
        """How many addresses of pools owners have that nobody holds; of one pool if it is named."""
        return await self._ledger.away(pool)

    async def samples(self, pool: str, begin: Instant, end: Instant, limit: int) -> Sequence[UsageSample]:
        """How many addresses of a pool were allocated, hour by hour, oldest first."""
        return await self._ledger.samples(pool, begin, end, limit)

    async def forecast(self, pool: str, days: int, counted: Usage | None = None) -> Forecast:
        """When a pool is full at the pace of its last days; its usage is counted if it is not known yet.

        Raises NotFound.
        """
        counted = counted or await self.usage(pool)
        now = self._clock()
        samples = await self._ledger.samples(pool, now - days * DAY, now + 1, days * (DAY // HOUR) + 1)
        return forecast(samples, counted.free + counted.cooling, now)

    async def usage_of(
        self, pools: Sequence[Pool], allocated: Mapping[str, int] = NOT_ADDED_UP
    ) -> Mapping[str, Usage]:
        """How full some pools are. Of those in `allocated` the caller knows what is held, also in advance."""
        return await usage_of(pools, self._cache.catalogue, self._ledger, self._clock.read(), allocated)

    async def usage_of_all(self) -> Mapping[str, Usage]:
        """How full every pool is."""
        return await usage_of_all(self._cache.catalogue, self._ledger, self._clock.read())

    async def why_no_room(
        self, pool_names: PoolNames, node: NodeKey, network: str, namespace: str | None = None
    ) -> DomainError | None:
        """Why a request for these pools would find nothing free, None if it would be served."""
        context = RequestContext(node.cluster, network, node.name, namespace)
        try:
            chosen = alternatives(pool_names, context, await self._cache.refresh())
        except DomainError as error:
            return error
        for pools in chosen:
            counted = [await self.usage(pool.name) for pool in pools if pool.state is PoolState.ACTIVE]
            if not any(each.free > 0 for each in counted):
                names = tuple(pool.name for pool in pools)
                return await self._refusals.nothing_free(NothingFree(names), pool_names, context)
        return None if chosen else await self._refusals.nothing_free(NothingFree(()), pool_names, context)
