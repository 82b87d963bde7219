"""A backend on SQLite: one thread writes, and connections of their own read."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Audit,
    Backend,
    Change,
    Ledger,
    Line,
    LockPolicy,
    Undone,
    Work,
)
from ipamd.backends.sql import change_log, change_requests, forgetting, former, samples, statements
from ipamd.backends.sql.audit import SqlAudit
from ipamd.backends.sql.catalogue import SqlCatalogueChange
from ipamd.backends.sql.ledger import Reading, SqlLedger
from ipamd.backends.sql.line import SqlLine
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.session import DatabaseSession
from ipamd.backends.sql.sqlite import journal
from ipamd.backends.sql.sqlite.checkpoints import Checkpoints
from ipamd.backends.sql.sqlite.connection import (
    JOURNAL_LENGTH,
    READER_SETTINGS,
    WRITER_SETTINGS,
    SqliteSession,
    connect,
    schema_version,
    version_of,
)
from ipamd.backends.sql.sqlite.deferred_terms import PUT_OFF, DeferredTerms, DeferringTransaction
from ipamd.backends.sql.sqlite.file import DatabaseFile, path_of
from ipamd.backends.sql.sqlite.lull import Lull
from ipamd.backends.sql.sqlite.writer import Writer
from ipamd.backends.sql.version import misfit
from ipamd.models.errors import DatabaseUnfit, SchemaUnfit, Unavailable
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

T = TypeVar("T")

READERS: Final = 2
BEGIN: Final = "BEGIN IMMEDIATE"
"""The lock is taken at the beginning: one taken between reading and writing could be refused."""

FORGOTTEN_AT_ONCE: Final = 1000

log = structlog.get_logger()


class SqliteReader:
    """Connections that read, each of a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="ipamd-read")

    async def read(self, reading: Reading[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._session().whole("BEGIN", reading(self._session()))
        )

    def _session(self) -> SqliteSession:
        known: SqliteSession | None = getattr(self._of_thread, "session", None)
        if known is None:
            connection = connect(self._path, READER_SETTINGS)
            self._connections.append(connection)
            known = self._of_thread.session = SqliteSession(connection)
        return known

    def close(self) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()


class SqliteBackend:
    """See `Backend`. One thread makes every write of the process, one unit of work after another."""

    lanes = 1

    def __init__(
        self, file: DatabaseFile, connection: sqlite3.Connection, writer: Writer, put_off: int
    ) -> None:
        self._file = file
        self._connection = connection
        self._writer = writer
        self._session = SqliteSession(connection)
        self._reader = SqliteReader(file.path)
        self._closed = False
        self._lengthening = asyncio.create_task(self._lengthen_journal())
        self._checkpoints = Checkpoints(file.path)
        self._deferred = DeferredTerms(self._write_terms, put_off)
        self._lull = Lull(self._finish)
        self.ledger: Ledger = SqlLedger(self._reader, deferred=True)
        self.audit: Audit = SqlAudit(self._reader, deferred=True)
        self.line: Line = SqlLine(self._reader, self._write)

    async def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> T:
        transaction = DeferringTransaction(self._session)
        try:
            return await self._write(lambda _: work(transaction))
        finally:
            self._put_off(transaction.put_off)

    def _put_off(self, rows: int) -> None:
        self._deferred.note(rows)
        self._lull.note()

    async def change(self, work: Change[T]) -> T:
        return await self._write(lambda session: work(SqlCatalogueChange(session)))

    async def _write(self, work: Callable[[DatabaseSession], Coroutine[Any, Any, T | Undone[T]]]) -> T:
        return await self._committed(lambda: self._session.whole(BEGIN, work(self._session)))

    async def _write_terms(self, work: Callable[[DatabaseSession], Coroutine[Any, Any, int]]) -> int:
        return await self._committed(lambda: self._session.whole_not_synced(BEGIN, work(self._session)))

    async def _committed(self, unit: Callable[[], T]) -> T:
        """What a unit of work finds, once the thread that writes has committed it."""
        if self._closed:
            raise Unavailable("the database is closed")
        result = await self._writer.run(unit)
        self._checkpoints.note()
        return result

    async def _finish(self) -> None:
        """Do what was put off, so that the next burst begins with nothing to do."""
        await self._deferred.finish(self._lull)
        self._checkpoints.finish()

    async def _lengthen_journal(self) -> None:
        async def by_a_piece(_: DatabaseSession) -> bool:
            return journal.lengthen(self._file.path, JOURNAL_LENGTH)

        try:
            while await self._write(by_a_piece):
                pass
        except (OSError, Unavailable) as error:
            log.warning("the journal could not be allocated in advance: commits are slower", why=str(error))

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        rows = [(*node, heard) for node, heard in contacts.items()]
        if rows:
            await self._write(lambda session: session.run_many(statements.SAVE_CONTACT, rows))

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        rows = list(uses.items())
        if rows:
            await self._write(lambda session: session.run_many(statements.SAVE_USE, rows))

    async def forget_releases(self, before: Instant) -> None:
        forgotten = FORGOTTEN_AT_ONCE
        while forgotten == FORGOTTEN_AT_ONCE:
            forgotten = await self._write(
                lambda session: session.run(statements.FORGET_RELEASES, before, FORGOTTEN_AT_ONCE)
            )

    async def forget_former(self, before: Instant) -> bool:
        return await self._write(lambda session: former.forget(session, before))

    async def shorten_releases(self, until: Instant) -> int:
        return await self._write(lambda session: session.run(statements.SHORTEN_RELEASES, until))

    async def forget_history(self, before: Instant, after: int) -> int | None:
        # What is old is looked for beside the writer, who only drops it.
        piece = await self._reader.read(lambda session: forgetting.next_piece(session, before, after))
        if piece.old:
            await self._write(lambda session: forgetting.drop(session, piece, before))
            self._put_off(len(piece.old))
        return piece.reached

    async def forget_log(self, before: Instant) -> bool:
        return await self._write(lambda session: change_log.forget(session, before))

    async def forget_requests(self, before: Instant) -> bool:
        return await self._write(lambda session: change_requests.forget(session, before))

    async def sample_usage(self, hour: Instant) -> None:
        await self._write(lambda session: session.run(samples.SAMPLE, hour))

    async def forget_samples(self, before: Instant) -> bool:
        return await self._write(lambda session: samples.forget(session, before))

    async def mark(self) -> int:
        return 0  # one unit of work is under way at a time

    async def has_passed(self, mark: int) -> bool:
        return True

    async def count_time(self, until: Instant) -> None:
        await self._write(lambda session: session.run(statements.COUNT_TIME, until))

    async def set_time_back(self, now: Instant) -> None:
        await self._write(lambda session: session.run(statements.SET_TIME_BACK, now))

    async def ready(self) -> str | None:
        if self._closed:
            return "the database is closed"
        try:
            return misfit(await self._reader.read(schema_version))
        except Unavailable as error:
            return str(error)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._lengthening.cancel()
        await self._lull.close()
        await self._deferred.close()
        await self._checkpoints.close()
        await asyncio.to_thread(self._reader.close)
        await self._writer.run(self._connection.close)  # the last one moves the journal into the file
        await self._writer.end()
        self._file.let_go()


async def open_sqlite(url: str) -> Backend:
    """Open `sqlite:///PATH`. The file is created and migrated if it needs to be.

    Raises DatabaseUnfit if the file cannot be used, SchemaUnfit if it needs a newer ipamd.
    """
    writer = Writer()
    try:
        file, connection, put_off = await writer.run(lambda: _opened(path_of(url)))
    except BaseException:
        await writer.end()
        raise
    return SqliteBackend(file, connection, writer, put_off)


def _opened(path: Path) -> tuple[DatabaseFile, sqlite3.Connection, int]:
    """The file, a writing connection, and how many rows were left without what finds them in lists."""
    file = DatabaseFile(path)
    try:
        connection = connect(path, WRITER_SETTINGS)
        try:
            _migrate(connection)
            [(put_off,)] = run_to_end(SqliteSession(connection).fetch(PUT_OFF))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        file.let_go()
        raise DatabaseUnfit(f"the database {path} cannot be used: {error}") from error
    except BaseException:
        file.let_go()
        raise
    return file, connection, put_off


def _migrate(connection: sqlite3.Connection) -> None:
    if version_of(connection).revision < REVISION:
        # Imported here, for alembic takes longer to import than all the rest, and is seldom needed.
        from ipamd.backends.sql.sqlite import migrating

        migrating.apply(connection)
    sentence = misfit(version_of(connection))
    if sentence is not None:
        raise SchemaUnfit(sentence)
