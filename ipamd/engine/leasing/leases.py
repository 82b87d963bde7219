"""The conversation with a node about its lease: renew it, take back, grant, recall."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakValueDictionary

import structlog
from msgspec import structs

from ipamd.backends.interface import Backend, Changes, Transaction
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.leasing.conversation import Asking, SeatState, Told
from ipamd.engine.leasing.granting import Granting
from ipamd.engine.leasing.locking import LOCKS, locked_lease
from ipamd.engine.leasing.news import News
from ipamd.engine.leasing.telling import Telling, untaken
from ipamd.engine.leasing.tenancy import Decided, decide, fenced, may_give_until
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import NodeHoldsSeats, NodeMayGive, Unavailable
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatKey, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Released
from ipamd.models.request import Release

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the catalogue, while a node waits for news."""

log = structlog.get_logger()


class Leases:
    """What nodes hold in advance."""

    def __init__(
        self,
        backend: Backend,
        allocator: Allocator,
        granting: Granting,
        cache: CatalogueCache,
        news: News,
        clock: Clock,
        seconds: int,
    ) -> None:
        self._backend = backend
        self._ledger = backend.ledger
        self._allocator = allocator
        self._granting = granting
        self._telling = Telling(backend.ledger)
        self._cache = cache
        self._news = news
        self._clock = clock
        self._seconds = seconds
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

        News come from a change of the catalogue, if a pool of the node's free seats becomes scarce, or if one
        of its seats is recalled.
        """
        recalled = self._news.recalled(asking.node)
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
            former, recalled = recalled, self._news.recalled(asking.node)
            is_behind = self._cache.catalogue.revision != told.revision or not recalled <= former
            if is_behind or await self._granting.is_scarce(told.pools):
                told = await self.ask(asking)
        return told

    def end(self) -> None:
        """Answer all nodes that wait for news: the service is about to end."""
        self._ending.set()

    async def _ask(self, asking: Asking) -> Told:
        node = asking.node
        catalogue = await self._cache.refresh()
        lease, seats = await self._renew(asking, await self._ledger.seats(node))
        rows = by_seat(await self._ledger.seat_rows(node))
        returned = await self._take_back(asking, lease, seats, rows)
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
        free_here = untaken(asking, lease, seats, rows)
        ended = await self._telling.ended(asking, free_here, rows)
        free = [number for number, state in asking.seats.items() if state is SeatState.FREE]
        return Told(
            epoch=lease.epoch,
            granted=number,
            reported=lease.reported,
            seconds=self._seconds,
            revision=catalogue.revision,
            seats=answers,
            returned=sorted(returned),
            recalled=sorted(recalled),
            void=void,
            ended=ended,
            untaken=free_here,
            refused=granted.refused,
            identities=await self._telling.identities(asking, rows) if asking.confirm else None,
            is_news=bool(answers or returned or ended or asking.confirm or recalled.union(void) & set(free)),
            pools=frozenset(row.pool for each in free for row in rows.get(each, ())),
        )

    async def _renew(self, asking: Asking, seats: Sequence[Seat]) -> tuple[Lease, Mapping[int, Seat]]:
        """The node's lease, which who asks has, until further notice durably, and its seats by number."""

        async def work(transaction: Transaction) -> tuple[Decided, Lease | None]:
            known = await locked_lease(transaction, asking.node)
            decided = decide(known, asking, self._clock.read(), has_seats=bool(seats), seconds=self._seconds)
            changes = Changes()
            if decided.lease is not None:
                changes.leases.append(decided.lease)
            if decided.is_lost_store:
                changes.seats += [each for each in voided(seats, asking.boot) if each not in seats]
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
        return lease, {
            each.number: each for each in (voided(seats, asking.boot) if decided.is_lost_store else seats)
        }

    async def _note_grant(self, lease: Lease, number: int) -> None:
        """Remember the number of a grant before it is answered."""

        async def work(transaction: Transaction) -> None:
            known = await locked_lease(transaction, lease.node)
            if known is not None and known.epoch == lease.epoch and known.granted < number:
                await transaction.write(Changes(leases=[structs.replace(known, granted=number)]))

        if lease.granted < number:
            await self._backend.transact(work, LOCKS)

    async def _take_back(
        self,
        asking: Asking,
        lease: Lease,
        seats: Mapping[int, Seat],
        rows: Mapping[int, Sequence[Allocation]],
    ) -> set[int]:
        """Take back the seats that a node gives back, but for those that a container has."""
        returning = [number for number, state in asking.seats.items() if state is SeatState.RETURNING]
        returned = {number for number in returning if number not in seats}
        for number in returning:
            is_free = number in seats and all(row.is_free_seat for row in rows.get(number, ()))
            if is_free and await self._release(SeatKey(asking.node, number), lease.epoch):
                returned.add(number)
        return returned

    async def _release(self, seat: SeatKey, epoch: int) -> bool:
        release = Release(digest=seat_owner(seat).digest, seat=seat, epoch=epoch, ending=Ending.RELEASED)
        outcome = await self._allocator.submit(release)
        if isinstance(outcome, Refused):
            log.warning("lease", outcome="not returned", seat=seat.number, why=str(outcome.error))
        return isinstance(outcome, Released)

    def _is_void(self, number: int, seats: Mapping[int, Seat], returned: set[int], lease: Lease) -> bool:
        if number in returned:
            return False
        seat = seats.get(number)
        return seat is None or seat.void_in == lease.boot

    async def fence(self, node: NodeKey, *, even_if_alive: bool) -> int | None:
        """End the epoch of a node's lease, so that nothing more is granted or reported.

        Returns the new epoch, None if the node has no lease. Raises NodeMayGive, Unavailable.
        """
        clock = self._clock.read()
        has_none = await self._seats_if_none(node)

        async def work(transaction: Transaction) -> Instant | Lease | None:
            known = await locked_lease(transaction, node)
            if known is None:
                return None
            until = may_give_until(known, clock)
            if until > clock.now and not even_if_alive and known.seats != has_none:
                return until
            new = fenced(known)
            await transaction.write(Changes(leases=[new]))
            return new

        done = await self._backend.transact(work, LOCKS)
        if done is None:
            return None
        if not isinstance(done, Lease):
            raise NodeMayGive(node.name, done)
        log.info("lease", outcome="fenced", node=node.name)
        return done.epoch

    async def _seats_if_none(self, node: NodeKey) -> int | None:
        """The number of the last seat of a node that has none now. None if it has some."""
        for lease in await self._ledger.leases(node):
            if not await self._ledger.seats(node):
                return lease.seats
        return None

    async def check_none(self, node: NodeKey) -> None:
        """Raise NodeHoldsSeats if a node has seats, Unavailable if that cannot be read."""
        seats = await self._ledger.seats(node)
        if seats:
            raise NodeHoldsSeats(node.name, len(seats))

    async def take_all(self, node: NodeKey, epoch: int) -> int:
        """Take the seats of a node that nobody may give since that epoch, if no container has them.

        If somebody has got the lease since, the seats are theirs. Returns how many were taken.
        """
        taken = [
            await self._release(SeatKey(node, seat.number), epoch) for seat in await self._ledger.seats(node)
        ]
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


def voided(seats: Sequence[Seat], boot: str) -> list[Seat]:
    """The seats of a node whose store was lost in a boot: none is told of in this boot."""
    return [seat if seat.void_in else structs.replace(seat, void_in=boot) for seat in seats]


def by_seat(rows: Sequence[Allocation]) -> Mapping[int, Sequence[Allocation]]:
    """The rows of seats by their numbers, each seat's in the order of its answer."""
    found: dict[int, list[Allocation]] = defaultdict(list)
    for row in rows:
        if row.seat is not None:
            found[row.seat.number].append(row)
    for own in found.values():
        own.sort(key=lambda row: row.seat or (0, 0))
    return found
