"""The engine for its edges: allocation, administration and inspection, opened and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from ipamd.backends.interface import Backend
from ipamd.engine.administration.applying import Applied, DesiredState
from ipamd.engine.administration.change_requests import ChangeRequests
from ipamd.engine.administration.changes import Administration
from ipamd.engine.administration.holds import Holds
from ipamd.engine.administration.pod_networks import PodNetworks
from ipamd.engine.administration.quotas import Quotas
from ipamd.engine.administration.tokens import Tokens
from ipamd.engine.allocation.adoption import Adoption
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.block_returns import BlockReturns
from ipamd.engine.allocation.collection import Collector
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.line import ahead_of
from ipamd.engine.allocation.owners import Owners
from ipamd.engine.allocation.waiting import Waiting
from ipamd.engine.allocation.workloads import Workloads
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.census.censuses import Censuses
from ipamd.engine.census.living import Living
from ipamd.engine.census.restoring import Restoring
from ipamd.engine.census.share import Shares
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.check import Check
from ipamd.engine.inspection.explanation import explain
from ipamd.engine.inspection.nodes import NodeQueries
from ipamd.engine.inspection.pod_network import NetworkQueries
from ipamd.engine.inspection.queries import Queries
from ipamd.engine.inspection.refusals import Refusals
from ipamd.engine.inventory import Inventories
from ipamd.engine.leasing.granting import Granting
from ipamd.engine.leasing.lease_uses import LeaseUses
from ipamd.engine.leasing.leases import Leases
from ipamd.engine.leasing.news import News
from ipamd.engine.leasing.recalls import Recalls
from ipamd.engine.leasing.reporting import Reporting
from ipamd.engine.leasing.scarcity import Scarcity
from ipamd.engine.leasing.striking_out import StrikingOut
from ipamd.engine.measures import Measures
from ipamd.engine.pruning import Pruning
from ipamd.engine.publishing import Publishing
from ipamd.engine.removal import Removal
from ipamd.engine.sampling import Sampling
from ipamd.engine.setting_back import SettingBack
from ipamd.engine.upkeep import Upkeep
from ipamd.models.explanation import Explanation
from ipamd.models.instant import Instant
from ipamd.models.limits import LEAK_GRACE_SECONDS, LEASE_SECONDS
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Outcome, Refused
from ipamd.models.query import ALL_CONTACTS, ContactQuery
from ipamd.models.request import AllocationRequest, Release


class Engine:
    """Decides who gets which address. Each process has one."""

    def __init__(
        self, backend: Backend, clock: Clock, history_days: int, leak_grace: float, lease_seconds: int
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._cache = cache = CatalogueCache(backend)
        self.upkeep = Upkeep(backend, clock, cache)
        self.measures = Measures()
        self.announcements = Announcements(backend.ledger)
        refusals = Refusals(backend.ledger, cache, clock)
        bell = FreedBell()
        self.allocator = Allocator(backend, clock, cache, self.measures, refusals, self.announcements, bell)
        self.adoption = Adoption(self.allocator, backend.ledger, cache)
        self.collector = Collector(self.allocator, backend.ledger, cache, clock, self.upkeep)
        self.workloads = Workloads(self.allocator, backend.ledger)
        self.owners = Owners(self.allocator, backend.ledger, cache, clock)
        self.queries = Queries(backend, cache, clock, refusals)
        self.reporting = Reporting(self.allocator)
        scarcity = Scarcity(self.queries, cache, clock)
        granting = Granting(backend, self.allocator, scarcity)
        self.lease_uses = LeaseUses(backend.ledger, clock)
        self._news = News(backend.ledger)
        self._striking_out = StrikingOut(backend, self._news)
        self.leases = Leases(backend, self.allocator, granting, cache, self._news, clock, lease_seconds)
        living = Living(self.adoption, cache)
        self.restoring = Restoring(backend, cache, self.announcements, clock, leak_grace)
        self.census_shares = Shares()
        self.censuses = Censuses(
            backend, self.allocator, living, self.restoring, cache, clock, self.measures, leak_grace
        )
        self._recalls = Recalls(backend, self.allocator, cache, scarcity)
        self.waiting = Waiting(backend.line, self.allocator, self.allocate, cache, clock, bell, self.measures)
        self.administration = Administration(backend, cache, self.announcements, clock)
        self.quotas = Quotas(backend, cache, self.announcements, clock)
        self.holds = Holds(backend, cache, self.announcements, clock, self.allocate)
        self.requests = ChangeRequests(backend, cache, self.announcements, clock)
        self.tokens = Tokens(backend, cache, self.announcements, clock)
        self.networks = PodNetworks(backend, cache, self.announcements, clock)
        self.network_queries = NetworkQueries(backend.ledger, cache, self.upkeep, self.announcements)
        self.nodes = NodeQueries(backend.ledger, cache, self.upkeep, clock)
        self.publishing = Publishing(
            self.networks, self.administration, self.allocator, self.network_queries, self.upkeep, cache
        )
        blocks = BlockReturns(backend, cache, self.announcements)
        self.removal = Removal(
            self.collector, self.leases, self.censuses, self.administration, self.publishing, blocks
        )
        self.inventories = Inventories(backend, cache, self.announcements, clock, self.removal, self.upkeep)
        self.setting_back = SettingBack(backend, cache, clock, self.tokens.set_back)
        self.consistency = Check(
            backend, cache, self.upkeep, clock, self.setting_back, self.quotas.count_again
        )
        self._sampling = Sampling(backend, clock)
        self._pruning = Pruning(backend, clock, history_days) if history_days else None
        self._tasks = [asyncio.create_task(each.run()) for each in (cache, self.announcements, self._news)]

    @classmethod
    async def open(
        cls,
        backend: Backend,
        clock: Clock | None = None,
        history_days: int = 0,
        leak_grace: float = LEAK_GRACE_SECONDS,
        lease_seconds: int = LEASE_SECONDS,
    ) -> Engine:
        """An engine that knows the catalogue and takes requests.

        Allocations that ended more than `history_days` ago are dropped; 0 keeps them for ever. `leak_grace`
        is how many seconds lie at least between two reports that a container is dead, `lease_seconds` for how
        many a node may give addresses of its lease without another word of ipamd.
        """
        engine = cls(backend, clock or Clock(), history_days, leak_grace, lease_seconds)
        await engine.refresh()
        await engine.begin()
        return engine

    async def begin(self) -> None:
        """Begin what goes on beside the calls, from what the database knows of time. Raises Unavailable."""
        await self.upkeep.begin()
        await self.setting_back.begin()
        working = [self.upkeep.run(), self.setting_back.run(), self._sampling.run(), self.restoring.run()]
        working += [self.quotas.run(), self.owners.run(), self.holds.run(), self.waiting.run()]
        if self._pruning is not None:
            working.append(self._pruning.run())
        self._tasks += map(asyncio.create_task, working)

    def end_waiting(self) -> None:
        """Let everybody go who waits for news: the process ends."""
        self.announcements.end()
        self.leases.end()
        self.waiting.end()

    @property
    def is_ending(self) -> bool:
        """Whether the process ends: who waits for news goes."""
        return self.announcements.has_ended

    async def close(self) -> None:
        """Answer the calls under way, write what is only in memory, and close the database."""
        self.end_waiting()
        await self.waiting.close()
        await self.allocator.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.upkeep.end()
        await self._backend.close()

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it was last loaded."""
        return self._cache.catalogue

    async def refresh(self) -> Catalogue:
        """Load what has changed since the last time."""
        return await self._cache.refresh()

    async def recent(self) -> Catalogue:
        """The catalogue, fresh enough to decide who may ask. Raises Unavailable."""
        return await self._cache.recent()

    @property
    def is_stale(self) -> bool:
        """Whether the catalogue is not fresh: then wait for `recent`."""
        return self._cache.is_stale

    def submit(self, request: AllocationRequest | Release) -> Coroutine[Any, Any, Outcome]:
        """Decide a request in a batch, durably."""
        self._striking_out.heard(request)
        return self.allocator.submit(request)

    async def allocate(self, request: AllocationRequest) -> Outcome:
        """The same; if nodes hold in advance what it needs, it waits for that within its time."""
        outcome = await self.submit(request)
        return await self._recalls.again(request, outcome) if isinstance(outcome, Refused) else outcome

    async def forget_node(
        self, node: NodeKey, expected: int | None, by: str | None, *, keep_lease: bool
    ) -> None:
        """Forget a node, and free its own addresses; `keep_lease` allows that it holds some in advance.

        Raises NotFound, StaleRevision, NodeHoldsSeats, Unavailable.
        """
        if not keep_lease:
            await self.leases.check_none(node)
        await self.publishing.forget(node, expected, by)

    async def apply(self, wanted: DesiredState, *, prune: bool, dry_run: bool) -> Applied:
        """Create and change what a file states, and count for the quotas in it. Raises NotApplied."""
        applied = await self.administration.apply(wanted, prune=prune, dry_run=dry_run)
        await self.quotas.go_on()
        return applied

    async def explain(self, request: AllocationRequest) -> Explanation:
        """What a request would get now, and why. Nothing is taken, noted or remembered."""
        await self._cache.refresh()
        outcome = await self.allocator.dry_run(request)
        ahead = ahead_of(request, await self.waiting.read(), self.catalogue)
        return await explain(
            request, outcome, self.catalogue, self._backend.ledger, self._clock.read(), ahead
        )

    def heard_from(self, node: NodeKey) -> None:
        """Note that a node called."""
        self.upkeep.heard_from(node)

    def used(self, token: int) -> None:
        """Note that a token was used."""
        self.upkeep.used(token)

    async def uses(self) -> Mapping[int, Instant]:
        """When each token was last used, from the database and from this process."""
        return await self.upkeep.uses()

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        """When nodes last called, from the database and from this process; a page, and perhaps some more."""
        return await self.upkeep.contacts(query)

    async def contact(self, node: NodeKey) -> Instant | None:
        """When one node last called, None if it never did."""
        return await self.upkeep.contact(node)
