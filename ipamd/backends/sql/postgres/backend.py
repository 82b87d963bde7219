"""A backend on PostgreSQL: any number of processes on one database, without a leader."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import structlog

from ipamd.backends.interface import (
    SKIP_LOCKS,
    Audit,
    Backend,
    Change,
    Ledger,
    Line,
    LockPolicy,
    Undone,
    WaitForLocks,
    Work,
)
from ipamd.backends.sql import change_log, change_requests, forgetting, former, samples, statements
from ipamd.backends.sql.audit import SqlAudit
from ipamd.backends.sql.ledger import Reading, SqlLedger
from ipamd.backends.sql.line import SqlLine
from ipamd.backends.sql.postgres import arrays
from ipamd.backends.sql.postgres.address import Address
from ipamd.backends.sql.postgres.catalogue import PostgresCatalogueChange
from ipamd.backends.sql.postgres.connection import Door, NotBegun, PostgresSession
from ipamd.backends.sql.postgres.connections import Connections, Purpose
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, LOSSES, cannot_open
from ipamd.backends.sql.postgres.fitness import hazards, refuse_unfit, unfit_now
from ipamd.backends.sql.postgres.searching import BlockKey
from ipamd.backends.sql.postgres.skip_locks import SkippingTransaction
from ipamd.backends.sql.postgres.unit import (
    BATCH_IDLE_SECONDS,
    GRACE_SECONDS,
    READ_ONLY,
    READ_WRITE,
    WAITING_IDLE_SECONDS,
    Bounds,
    run_unit,
)
from ipamd.backends.sql.postgres.wait_for_locks import OutOfOrder, WaitingTransaction
from ipamd.backends.sql.postgres.waiting import Deadline
from ipamd.models.errors import Unavailable
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

T = TypeVar("T")

log = structlog.get_logger()

BEGINNINGS: Final = 3
"""How many connections are tried that turn out to be lost: those that wait for use may all be."""

FORGOTTEN_AT_ONCE: Final = 1000

HUNG_SECONDS: Final = 4.0
"""How long a batch or a reading waits for what it cannot pass over: more than one that hangs is left."""

CHANGE_SECONDS: Final = 10.0
"""How long an admin's change waits for each of the blocks that it touches, and for other changes."""

READING_SECONDS: Final = 2 * HUNG_SECONDS + GRACE_SECONDS
"""How long a reading may take. It holds no lock, and to read a large catalogue is mostly our own work: so it
may be silent for as long."""

READINGS_BOUNDS: Final = Bounds(READ_ONLY, HUNG_SECONDS, READING_SECONDS, READING_SECONDS)
BATCH_BOUNDS: Final = Bounds(
    READ_WRITE, HUNG_SECONDS, 2 * HUNG_SECONDS + GRACE_SECONDS, BATCH_IDLE_SECONDS, planned_once=True
)
UPKEEP_BOUNDS: Final = Bounds(READ_WRITE, HUNG_SECONDS, 2 * HUNG_SECONDS + GRACE_SECONDS, BATCH_IDLE_SECONDS)
CHANGE_BOUNDS: Final = Bounds(READ_WRITE, CHANGE_SECONDS, 6 * CHANGE_SECONDS)


class PostgresReader:
    """Connections that read, each reading on one state of the database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def read(self, reading: Reading[T]) -> T:
        return await run(self._connections, Purpose.READING, READINGS_BOUNDS, reading)


class PostgresBackend:
    """See `Backend`."""

    lanes = Purpose.BATCH.most

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._reader = PostgresReader(connections)
        self._closed = False
        self.ledger: Ledger = SqlLedger(self._reader)
        self.audit: Audit = SqlAudit(self._reader)
        self.line: Line = SqlLine(self._reader, self._write_line, arrays.ENTER_LINE)

    async def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> T:
        if isinstance(locks, WaitForLocks):
            return await self._transact_waiting(work, locks.seconds)
        return await self._run(
            Purpose.BATCH, BATCH_BOUNDS, lambda session: work(SkippingTransaction(session))
        )

    async def _transact_waiting(self, work: Work[T], seconds: float) -> T:
        deadline = Deadline(seconds)
        first: set[BlockKey] = set()
        losses = 0
        while True:
            left = deadline.left
            bounds = Bounds(READ_WRITE, left, left + GRACE_SECONDS, WAITING_IDLE_SECONDS)
            try:
                return await self._run(
                    Purpose.WAITING,
                    bounds,
                    lambda session: work(WaitingTransaction(session, deadline, first)),  # noqa: B023  # run at once
                )
            except OutOfOrder as error:
                first |= error.missed
            except Unavailable as error:
                # Nothing was kept: what ends a connection for its silence may have been our own processor.
                losses += 1
                if error.cause not in LOSSES or losses == BEGINNINGS or deadline.left <= 0:
                    raise

    async def change(self, work: Change[T]) -> T:
        async def change(session: PostgresSession) -> T | Undone[T]:
            catalogue = PostgresCatalogueChange(session)
            answer = await work(catalogue)
            await catalogue.write_reservations()
            return answer

        return await self._run(Purpose.CHANGE, CHANGE_BOUNDS, change)

    async def _run(
        self,
        purpose: Purpose,
        bounds: Bounds,
        work: Callable[[PostgresSession], Coroutine[Any, Any, T | Undone[T]]],
    ) -> T:
        if self._closed:
            raise Unavailable("the database is closed")
        return await run(self._connections, purpose, bounds, work)

    async def _write_line(self, work: Callable[[PostgresSession], Coroutine[Any, Any, T]]) -> T:
        """A change of the line. It is as short as a reading, and must not queue behind changes of admins."""
        return await self._run(Purpose.READING, BATCH_BOUNDS, work)

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        # Always in the same order: two replicas that write the same nodes would else wait for each other.
        rows = sorted((*node, heard) for node, heard in contacts.items())
        if rows:
            values = arrays.columns_of(rows)
            await self._run(
                Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(arrays.SAVE_CONTACTS, *values)
            )

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        if uses:
            values = arrays.columns_of(sorted(uses.items()))
            await self._run(
                Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(arrays.SAVE_USES, *values)
            )

    async def forget_releases(self, before: Instant) -> None:
        forgotten = FORGOTTEN_AT_ONCE
        while forgotten == FORGOTTEN_AT_ONCE:
            forgotten = await self._run(
                Purpose.CHANGE,
                UPKEEP_BOUNDS,
                lambda session: session.run(arrays.FORGET_RELEASES, before, FORGOTTEN_AT_ONCE),
            )

    async def forget_former(self, before: Instant) -> bool:
        return await self._run(Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: former.forget(session, before))

    async def shorten_releases(self, until: Instant) -> int:
        return await self._run(
            Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(statements.SHORTEN_RELEASES, until)
        )

    async def forget_history(self, before: Instant, after: int) -> int | None:
        piece = await self._reader.read(lambda session: forgetting.next_piece(session, before, after))
        if not piece.old:
            return piece.reached

        async def drop(session: PostgresSession) -> bool:
            if not await session.fetch(arrays.LOCK_HISTORY):
                return False
            await forgetting.drop(session, piece, before)
            return True

        return piece.reached if await self._run(Purpose.CHANGE, UPKEEP_BOUNDS, drop) else None

    async def forget_log(self, before: Instant) -> bool:
        return await self._run(
            Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: change_log.forget(session, before)
        )

    async def forget_requests(self, before: Instant) -> bool:
        return await self._run(
            Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: change_requests.forget(session, before)
        )

    async def sample_usage(self, hour: Instant) -> None:
        await self._run(Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(samples.SAMPLE, hour))

    async def forget_samples(self, before: Instant) -> bool:
        return await self._run(Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: samples.forget(session, before))

    async def mark(self) -> int:
        # It takes a number itself: numbers are given in order, and whoever has a lower one began before.
        [(mark,)] = await self._run(Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.fetch(arrays.MARK))
        return int(mark)

    async def has_passed(self, mark: int) -> bool:
        [(oldest,)] = await self._reader.read(lambda session: session.fetch(arrays.OLDEST_WRITER))
        return int(oldest) > mark

    async def count_time(self, until: Instant) -> None:
        await self._run(
            Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(statements.COUNT_TIME, until)
        )

    async def set_time_back(self, now: Instant) -> None:
        await self._run(
            Purpose.CHANGE, UPKEEP_BOUNDS, lambda session: session.run(statements.SET_TIME_BACK, now)
        )

    async def ready(self) -> str | None:
        if self._closed:
            return "the database is closed"
        try:
            return await self._reader.read(unfit_now)
        except Unavailable as error:
            return str(error)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._connections.close()


async def run(
    connections: Connections,
    purpose: Purpose,
    bounds: Bounds,
    work: Callable[[PostgresSession], Coroutine[Any, Any, T | Undone[T]]],
) -> T:
    """Run a unit of work on a connection; on another one where it was lost before anything was done."""
    why = ""
    for _ in range(BEGINNINGS):
        try:
            async with connections.session(purpose, bounds.locks) as session:
                return await run_unit(session, bounds, work(session))
        except NotBegun as error:
            why = str(error)
    raise Unavailable(why)


async def open_postgresql(url: str) -> Backend:
    """Open `postgresql://USER@HOST:PORT/DATABASE`, migrated by `ipamd migrate` before.

    Raises DatabaseUnfit when the database cannot be used, SchemaUnfit when its schema does not fit.
    """
    door = Door(Address.read(url))
    try:
        await _look_at(door)
    except NotBegun as error:
        raise cannot_open(door.address.place, error.cause) from error
    except DRIVER_ERRORS as error:
        raise cannot_open(door.address.place, error) from error
    if door.pooled:
        log.info("there is a pooler before the database: each transaction sets what it needs", pooled=True)
    return PostgresBackend(Connections(door))


async def _look_at(door: Door) -> None:
    """See whether a database is fit, and say what of it is dangerous."""
    for beginning in range(1, BEGINNINGS + 1):
        connection = await door.open()
        try:
            session = PostgresSession(connection, door.settings)
            session.begin(READINGS_BOUNDS.opening(session.settings))
            await refuse_unfit(session, door.address.place)
            for hazard in await hazards(session):
                log.warning("the database may lose confirmed transactions", why=hazard)
        except NotBegun:
            if beginning == BEGINNINGS:
                raise  # a pooler may hand out connections of which it has not heard that they are gone
        else:
            return
        finally:
            connection.terminate()
