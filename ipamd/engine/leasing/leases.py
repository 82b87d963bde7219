"""The conversation with a node about its lease: renew it, take back, grant, recall."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import structlog
from msgspec import structs

from ipamd.backends.interface import Backend, Changes, Transaction
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.seat_changes import is_free_seat
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.leasing.asking import Asking, SeatState, Standing, Told
from ipamd.engine.leasing.granting import Granting
from ipamd.engine.leasing.locking import LOCKS, locked_lease
from ipamd.engine.leasing.telling import Telling
from ipamd.engine.leasing.tenancy import Decided, decide, fenced, may_give_until
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import NodeMayGive, Unavailable
from ipamd.models.instant import SECOND, Instant
from ipamd.models.lease import Lease, Seat, SeatKey, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Released
from ipamd.models.request import Release

SILENT: Final = 300 * SECOND
"""A node with a lease asks each minute at least."""

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the catalogue, while a node waits for news."""

log = structlog.get_logger()


class Counts(NamedTuple):
    """Sums over leases."""

    leases: int = 0
    silent: int = 0


class Leases:
    """What nodes hold in advance."""

    def __init__(
        self, backend: Backend, allocator: Allocator, granting: Granting, cache: CatalogueCache, clock: Clock
    ) -> None:
        self._backend = backend
        self._ledger = backend.ledger
        self._allocator = allocator
        self._granting = granting
        self._telling = Telling(backend.ledger)
        self._cache = cache
        self._clock = clock
        self._ending = asyncio.Event()
        self._asking: WeakValueDictionary[NodeKey, asyncio.Lock] = WeakValueDictionary()

    async def ask(self, asking: Asking) -> Told:
        """Tell a node what it has and may give; grant what it wants, and take back what it gives back.

        Raises LeaseOver, LeaseSuperseded, LeaseSettling, Unavailable, InDoubt.
        """
        lock = self._asking.setdefault(asking.node, asyncio.Lock())
        async with lock:
            return await self._ask(asking)

    async def ask_until(self, asking: Asking, seconds: float) -> Told:
        """The same; without news it waits for some, at most so many seconds.

        News come from a change of the catalogue, or if a pool of the node's free seats becomes scarce.
        """
        told = await self.ask(asking)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not told.is_news and loop.time() < deadline:
            try:
                async with asyncio.timeout(min(LOOK_EVERY, max(deadline - loop.time(), 0))):
                    await self._ending.wait()
                    return told
            except TimeoutError:
                pass  # it is not the end: look again
            if self._cache.catalogue.revision != told.revision or await self._granting.is_scarce(told.pools):
                told = await self.ask(asking)
        return told

    def end(self) -> None:
        """Answer all nodes that wait for news: the service is about to end."""
        self._ending.set()

    async def _ask(self, asking: Asking) -> Told:
        node = asking.node
        catalogue = await self._cache.refresh()
        lease = await self._renew(asking, await self._ledger.seats(node))
        rows = by_seat(await self._ledger.seat_rows(node))
        seats = {seat.number: seat for seat in await self._ledger.seats(node)}
        returned = await self._take_back(asking, seats, rows)
        seats = {number: seat for number, seat in seats.items() if number not in returned}
        named = {wanted.key: wanted.pool_names for wanted in asking.wanted}
        recalled = await self._granting.recalled(lease, seats, rows, catalogue, named)
        void = [number for number in asking.seats if self._is_void(number, seats, returned, lease)]
        granted = await self._granting.grant(asking, lease, seats, rows, recalled, catalogue)
        if granted.numbers:
            rows = by_seat(await self._ledger.seat_rows(node))
            seats = {seat.number: seat for seat in await self._ledger.seats(node)}
        answers = await self._telling.answers(asking, lease, seats, rows, catalogue, self._clock())
        number = asking.granted
        if answers:
            number += 1
            await self._note_grant(lease, number)
        recalled &= {*asking.seats, *(answer.number for answer in answers)}
        ended = await self._telling.ended(asking, seats, rows)
        free = [number for number, state in asking.seats.items() if state is SeatState.FREE]
        return Told(
            epoch=lease.epoch,
            granted=number,
            revision=catalogue.revision,
            seats=answers,
            returned=sorted(returned),
            recalled=sorted(recalled),
            void=void,
            ended=ended,
            refused=granted.refused,
            identities=await self._telling.identities(asking, rows) if asking.confirm else None,
            is_news=bool(answers or returned or ended or asking.confirm or recalled.union(void) & set(free)),
            pools=frozenset(row.pool for each in free for row in rows.get(each, ())),
        )

    async def _renew(self, asking: Asking, seats: Sequence[Seat]) -> Lease:
        """The node's lease, which who asks has, until further notice durably."""

        async def work(transaction: Transaction) -> tuple[Decided, Lease | None]:
            known = await locked_lease(transaction, asking.node)
            decided = decide(known, asking, self._clock.read(), has_seats=bool(seats))
            changes = Changes()
            if decided.lease is not None:
                changes.leases.append(decided.lease)
            if decided.is_lost_store:
                changes.seats += [
                    structs.replace(seat, void_in=asking.boot) for seat in seats if seat.void_in is None
                ]
            await transaction.write(changes)
            return decided, known

        decided, known = await self._backend.transact(work, LOCKS)
        if decided.refusal is not None:
            log.warning("lease", outcome="refused", node=asking.node.name, why=str(decided.refusal))
            raise decided.refusal
        lease = decided.lease
        if lease is None:
            raise Unavailable("the lease was not renewed: try again")
        if known is None or known.epoch != lease.epoch:
            log.info("lease", outcome="begun", node=asking.node.name, epoch=lease.epoch, boot=asking.boot)
        return lease

    async def _note_grant(self, lease: Lease, number: int) -> None:
        """Remember the number of a grant before it is answered."""

        async def work(transaction: Transaction) -> None:
            known = await locked_lease(transaction, lease.node)
            if known is not None and known.epoch == lease.epoch and known.granted < number:
                await transaction.write(Changes(leases=[structs.replace(known, granted=number)]))

        if lease.granted < number:
            await self._backend.transact(work, LOCKS)

    async def _take_back(
        self, asking: Asking, seats: Mapping[int, Seat], rows: Mapping[int, Sequence[Allocation]]
    ) -> set[int]:
        """Take back the seats that a node gives back, but for those that a container has."""
        returning = [number for number, state in asking.seats.items() if state is SeatState.RETURNING]
        returned = {number for number in returning if number not in seats}
        for number in returning:
            is_free = number in seats and all(map(is_free_seat, rows.get(number, ())))
            if is_free and await self._release(SeatKey(asking.node, number)):
                returned.add(number)
        return returned

    async def _release(self, seat: SeatKey) -> bool:
        release = Release(digest=seat_owner(seat).digest, seat=seat, ending=Ending.RELEASED)
        outcome = await self._allocator.submit(release)
        if isinstance(outcome, Refused):
            log.warning("lease", outcome="not returned", seat=seat.number, why=str(outcome.error))
        return isinstance(outcome, Released)

    def _is_void(self, number: int, seats: Mapping[int, Seat], returned: set[int], lease: Lease) -> bool:
        if number in returned:
            return False
        seat = seats.get(number)
        return seat is None or seat.void_in == lease.boot

    async def fence(self, node: NodeKey, *, even_if_alive: bool) -> None:
        """End the epoch of a node's lease, so that nothing more is granted or reported.

        Raises NodeMayGive, Unavailable.
        """
        clock = self._clock.read()
        has_none = await self._seats_if_none(node)

        async def work(transaction: Transaction) -> Instant | None:
            known = await locked_lease(transaction, node)
            if known is None:
                return None
            until = may_give_until(known, clock)
            if until > clock.now and not even_if_alive and known.seats != has_none:
                return until
            await transaction.write(Changes(leases=[fenced(known)]))
            return None

        until = await self._backend.transact(work, LOCKS)
        if until is not None:
            raise NodeMayGive(node.name, until)
        log.info("lease", outcome="fenced", node=node.name)

    async def _seats_if_none(self, node: NodeKey) -> int | None:
        """The number of the last seat of a node that has none now. None if it has some."""
        for lease in await self._ledger.leases(node):
            if not await self._ledger.seats(node):
                return lease.seats
        return None

    async def take_all(self, node: NodeKey) -> int:
        """Take the seats of a node whose lease is fenced, as far as no container has them. How many."""
        taken = [await self._release(SeatKey(node, seat.number)) for seat in await self._ledger.seats(node)]
        return sum(taken)

    async def recall(self, node: NodeKey) -> int | None:
        """Have a node give back the seats that it has now. Returns how many, None if it has no lease."""

        async def work(transaction: Transaction) -> bool:
            known = await locked_lease(transaction, node)
            if known is not None:
                await transaction.write(Changes(leases=[structs.replace(known, recalled=known.seats)]))
            return known is not None

        known = await self._backend.transact(work, LOCKS)
        return len(await self._ledger.seats(node)) if known else None

    async def count(self) -> Counts:
        """How many nodes have leases, and how many of those with seats were not heard from lately."""
        leases = [lease for lease in await self._ledger.leases(None) if lease.until]
        since = self._clock() - SILENT
        quiet = [lease for lease in leases if lease.heard < since]
        silent = sum([bool(await self._ledger.seats(lease.node)) for lease in quiet])
        return Counts(len(leases), silent)

    async def standings(self, cluster: str | None, node: str | None, pool: str | None) -> list[Standing]:
        """The leases of nodes, or of those with a seat of a pool. Raises Unavailable."""
        found = []
        for lease in await self._ledger.leases(None):
            if cluster in (None, lease.node.cluster) and node in (None, lease.node.name):
                standing = await self._standing(lease)
                if pool is None or pool in standing.pools:
                    found.append(standing)
        return found

    async def _standing(self, lease: Lease) -> Standing:
        rows = by_seat(await self._ledger.seat_rows(lease.node))
        taken = sum(not all(map(is_free_seat, own)) for own in rows.values())
        return Standing(
            node=lease.node,
            epoch=lease.epoch,
            machine=lease.machine,
            boot=lease.boot,
            until=lease.until,
            heard=lease.heard,
            reported=lease.reported,
            seats=len(rows),
            taken=taken,
            pools=Counter(row.pool for own in rows.values() for row in own),
        )


def by_seat(rows: Sequence[Allocation]) -> Mapping[int, Sequence[Allocation]]:
    """The rows of seats by their numbers, each seat's in the order of its answer."""
    found: dict[int, list[Allocation]] = defaultdict(list)
    for row in rows:
        if row.seat is not None:
            found[row.seat.number].append(row)
    for own in found.values():
        own.sort(key=lambda row: row.seat or (0, 0))
    return found
