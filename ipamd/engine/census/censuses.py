"""Takes the censuses of nodes: tells a node what it holds, and frees what is dead on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec import structs

from ipamd.backends.interface import Backend, Changes, Transaction, WaitForLocks
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.census.freeing import Freeing
from ipamd.engine.census.living import Living
from ipamd.engine.census.receipt import Receipt, what_is_lacking
from ipamd.engine.census.receipts import Receipts
from ipamd.engine.census.restoring import Restoring
from ipamd.engine.census.spoken import Answered, Spoken
from ipamd.engine.census.verdict import ENOUGH, FORMER_BOOT, GONE, Look, Verdict, judge
from ipamd.engine.census.word import NOBODY, Speaker, has_rival, released
from ipamd.engine.clock import Clock
from ipamd.engine.measures import Measures
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.census import Census, Conflict
from ipamd.models.errors import Unavailable
from ipamd.models.identity import digest_of
from ipamd.models.instant import SECOND
from ipamd.models.node import NodeKey
from ipamd.models.request import Release

LOCKS: Final = WaitForLocks(5.0)
PAGE: Final = 1000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over nodes: allocations that wait for an admin, and nodes for which two machines speak.

    `is_restoring` says that nothing is given to anybody new, as after a database was put back.
    """

    waiting: int = 0
    rivalries: int = 0
    is_restoring: bool = False


class Censuses:
    """The entrance for what nodes say of themselves. `grace` is in seconds."""

    def __init__(
        self,
        backend: Backend,
        allocator: Allocator,
        living: Living,
        restoring: Restoring,
        cache: CatalogueCache,
        clock: Clock,
        measures: Measures,
        grace: float,
    ) -> None:
        self._backend = backend
        self._ledger = backend.ledger
        self._allocator = allocator
        self._freeing = Freeing(allocator, measures)
        self._receipts = Receipts(backend.ledger, cache)
        self._living = living
        self._restoring = restoring
        self._cache = cache
        self._clock = clock
        self._grace = round(grace * SECOND)

    async def held_on(self, node: NodeKey, after: int, limit: int) -> tuple[str, Sequence[Allocation]]:
        """The timeline, and what a node's containers hold, by id: the rows above `after`. Raises Unavailable.

        Who knows rows of another timeline reads all again: those may never have been.
        """
        timeline = self._cache.catalogue.snapshot.restoration.timeline
        return timeline, await self._ledger.held_on(node, after, limit)

    async def hear(self, spoken: Spoken) -> Answered:
        """Free what is surely dead. Raises CensusSettling, CensusSuperseded, Unavailable, InDoubt.

        If the node was told what the database does not know, the database is an older one: then nothing is
        given to anybody new from here on.
        """
        receipt = await self._receipts.shown(spoken)
        order = await self._allocator.order_of(spoken.node, spoken.issued)
        rows = {row.stored_id: row async for row in self._all_on(spoken.node)} if spoken.dead else {}
        speaker = Speaker(spoken.node, spoken.machine, spoken.issued.boot)
        look = Look(speaker, order, spoken.dead)

        verdict = await self._judge(spoken, look, rows, receipt)
        if verdict.refusal is not None:
            log.warning("census", outcome="refused", node=spoken.node.name, why=str(verdict.refusal))
            raise verdict.refusal
        if verdict.waits:
            log.error(
                "census",
                outcome="too many dead",
                node=spoken.node.name,
                waiting=verdict.census.waiting,
                holds=len(rows),
                todo="see that they are dead, then run "
                f"`ipamctl node free-dead {spoken.node.name} --why REASON`",
            )
        freed = await self._freeing.free(spoken, verdict.former, FORMER_BOOT, "boot")
        freed += await self._freeing.free(spoken, verdict.dead, GONE, "namespace")
        adopted, conflicts = await self._living.adopt(spoken.living)
        if not spoken.is_whole and not conflicts:
            conflicts = verdict.census.conflicts  # who does not see all does not see that one has ended
        timeline = self._timeline_of(spoken, verdict.census.timeline)
        if (conflicts, timeline) != (verdict.census.conflicts, verdict.census.timeline):
            await self._note(spoken.node, conflicts, timeline)
        return Answered(
            freed=freed,
            adopted=adopted,
            conflicts=conflicts,
            gone=verdict.gone,
            changed=verdict.changed,
            waiting=verdict.census.waiting,
            receipt=await self._receipts.signed(verdict.census),
            is_anew=verdict.is_anew,
        )

    async def free_dead(self, node: NodeKey, by: str | None, reason: str) -> int:
        """Free what a node has said is dead, because an admin says so too. Returns how many addresses."""
        freed = 0
        for census in await self._ledger.censuses(node):
            for suspicion in census.suspicions:
                row = await self._ledger.allocation(suspicion.allocation)
                if row is None or row.until is not None or suspicion.times < ENOUGH:
                    continue
                release = Release(
                    digest=row.digest,
                    ending=Ending.DEAD,
                    allocation=row.stored_id,
                    generation=suspicion.generation,
                    by=by,
                    reason=reason,
                )
                freed += await self._freeing.release(release, row, "admin")
        return freed

    async def forget(self, node: NodeKey) -> None:
        """Hear whoever speaks next for a node, because an admin says that its machine is gone.

        After a restore that is the node's word: nobody else could say what lives on it.
        """
        restoration = self._cache.catalogue.snapshot.restoration

        async def work(transaction: Transaction) -> None:
            known = await _locked(transaction, node)
            if known is not None or restoration.began is not None:
                since = known.since if known is not None else self._clock()
                census = released(node, since, restoration.timeline)
                if known is not None:
                    census = structs.replace(census, told=known.told, told_in=known.told_in)
                await transaction.write(Changes(censuses=[census]))

        await self._backend.transact(work, LOCKS)

    async def _judge(
        self, spoken: Spoken, look: Look, rows: Mapping[int, Allocation], receipt: Receipt | None
    ) -> Verdict:
        """Judge a look, and store what the node says. In an older database a new timeline begins first."""

        async def work(transaction: Transaction) -> Verdict | str:
            known = await _locked(transaction, spoken.node)
            snapshot = self._cache.catalogue.snapshot
            timeline = snapshot.restoration.timeline
            if receipt is not None:
                lacking = what_is_lacking(receipt, timeline, snapshot.revision, known)
                if lacking is not None:
                    return lacking
            verdict = judge(known, look, rows, self._clock.read(), self._grace)
            verdict.is_anew = known is None or known.machine == NOBODY
            verdict.census = _with_told(verdict.census, known, spoken, receipt, timeline)
            if verdict.census != known:
                await transaction.write(Changes(censuses=[verdict.census]))
            return verdict

        judged: Verdict | str = await self._backend.transact(work, LOCKS)
        if isinstance(judged, str):
            # Another replica may have changed the catalogue: a forgotten node takes its census along.
            await self._cache.refresh()
            judged = await self._backend.transact(work, LOCKS)
        if isinstance(judged, str):
            assert receipt is not None  # nothing else says so
            node = f"node {spoken.node.name} of cluster {spoken.node.cluster}"
            await self._restoring.notice(f"{node} was told {judged}", receipt.timeline)
            judged = await self._backend.transact(work, LOCKS)
        if isinstance(judged, str):
            raise Unavailable("the database is put back again and again: try again")
        return judged

    def _timeline_of(self, spoken: Spoken, known: str) -> str:
        """In which timeline a node has last said all that lives on it.

        An agent that knows rows of a former one takes for known what the tables may lack.
        """
        present = self._cache.catalogue.snapshot.restoration.timeline
        return present if spoken.is_whole and spoken.timeline == present else known

    async def _note(self, node: NodeKey, conflicts: tuple[Conflict, ...], timeline: str) -> None:
        """Keep that a node has spoken, and what lives on it and cannot have its address."""
        for conflict in conflicts:
            log.error(
                "census",
                outcome="conflict",
                node=node.name,
                container_id=conflict.container_id,
                address=conflict.address,
                why=conflict.why,
            )

        async def work(transaction: Transaction) -> None:
            known = await _locked(transaction, node)
            if known is not None:
                await transaction.write(
                    Changes(censuses=[structs.replace(known, conflicts=conflicts, timeline=timeline)])
                )

        await self._backend.transact(work, LOCKS)

    async def of_nodes(self, node: NodeKey | None) -> Sequence[Census]:
        """What nodes last said, all or one. Raises Unavailable."""
        return await self._ledger.censuses(node)

    async def count(self) -> Counts:
        """Sums over what nodes last said. Raises Unavailable."""
        censuses = await self._ledger.censuses(None)
        clock = self._clock.read()
        rivalries = sum(has_rival(census, clock) for census in censuses)
        restoration = self._cache.catalogue.snapshot.restoration
        waiting = sum(census.waiting for census in censuses)
        return Counts(waiting, rivalries, restoration.began is not None)

    async def _all_on(self, node: NodeKey) -> AsyncIterator[Allocation]:
        after: int | None = 0
        while after is not None:
            rows = await self._ledger.held_on(node, after, PAGE)
            for row in rows:
                yield row
            after = rows[-1].stored_id if len(rows) == PAGE else None


def _with_told(
    census: Census, known: Census | None, spoken: Spoken, receipt: Receipt | None, timeline: str
) -> Census:
    """A census with what its node was told of, in a timeline. It never falls: receipts of it are about."""
    told = before = known.told_within(timeline) if known is not None else 0
    if spoken.timeline == timeline:
        told = max(told, spoken.told)
    if receipt is not None and receipt.timeline == timeline:
        told = max(told, receipt.told)
    if told > before:
        return structs.replace(census, told=told, told_in=timeline)
    if known is None:
        return census
    return structs.replace(census, told=known.told, told_in=known.told_in)


async def _locked(transaction: Transaction, node: NodeKey) -> Census | None:
    """The census of a node, locked until the unit of work ends."""
    await transaction.find([digest_of("census", *node)])
    return await transaction.census(node)
