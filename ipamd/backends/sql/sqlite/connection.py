"""Connections to SQLite: settings, and how statements and units of work run on one."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import ConstraintViolated, InDoubt, Undone
from ipamd.backends.sql import statements
from ipamd.backends.sql.session import Compiled, DatabaseSession, Statement, Values, compiled
from ipamd.backends.sql.version import NO_SCHEMA, SchemaVersion
from ipamd.models.errors import Unavailable

T = TypeVar("T")

BUSY_SECONDS: Final = 3.0
"""How long somebody else's sqlite3 on the file may keep us waiting."""

NO_ROOM: Final = "the disk of the database is full: make room, and ipamd goes on by itself"

CACHED_STATEMENTS: Final = 512

CHECKPOINT_PAGES: Final = 8000
"""So long may the journal become: many changes of one page go to the database as one."""

JOURNAL_LENGTH: Final = CHECKPOINT_PAGES * (4096 + 24) + 4 * (1 << 20)
"""In bytes: the pages with their headers, and what the commit adds that goes beyond."""

SYNCED: Final = "PRAGMA synchronous=FULL"
"""A commit that was answered survives a loss of power."""

NOT_SYNCED: Final = "PRAGMA synchronous=NORMAL"
"""A commit does not wait for the disk. A loss of power takes it, unless what came later was synced."""

WRITER_SETTINGS: Final = (
    "PRAGMA journal_mode=WAL",  # readers never wait for the writer, nor it for them
    SYNCED,
    "PRAGMA foreign_keys=OFF",  # history outlives its pool
    "PRAGMA cache_size=-65536",  # KiB
    "PRAGMA temp_store=MEMORY",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit=67108864",
)
CHECKPOINT_SETTINGS: Final = (SYNCED,)
READER_SETTINGS: Final = (
    "PRAGMA query_only=ON",
    "PRAGMA cache_size=-16384",
    "PRAGMA temp_store=MEMORY",
)


def connect(path: Path, settings: Sequence[str]) -> sqlite3.Connection:
    """A connection that begins and ends no transaction of its own accord, to use in any one thread."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        for setting in settings:
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _ready(statement: Statement) -> Compiled:
    return compiled(statement, SQLiteDialect_pysqlite())


class SqliteSession:
    """See `DatabaseSession`.

    What SQLAlchemy compiled goes straight to the driver: its result objects would cost as much as SQLite
    itself where a batch is small (docs/decisions/0003-sqlite-writer.md).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._setting = SYNCED

    async def fetch(self, statement: Statement, *values: Any) -> Sequence[Sequence[Any]]:
        ready = _ready(statement)
        return self._connection.execute(ready.text, ready.arranged(values)).fetchall()

    async def run(self, statement: Statement, *values: Any) -> int:
        return await self.run_many(statement, [values])

    async def run_many(self, statement: Statement, rows: Sequence[Values]) -> int:
        ready = _ready(statement)
        try:
            return self._connection.executemany(ready.text, map(ready.arranged, rows)).rowcount
        except sqlite3.IntegrityError as error:
            raise ConstraintViolated(str(error)) from error

    def whole(self, begin: str, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
        """Run a unit of work between `begin` and its commit; `Undone` or an exception undoes it."""
        return self._whole(SYNCED, begin, work)

    def whole_not_synced(self, begin: str, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
        """The same for what may be lost with the power, since it would be done again."""
        return self._whole(NOT_SYNCED, begin, work)

    def _whole(self, setting: str, begin: str, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
        try:
            if setting != self._setting:
                self._connection.execute(setting)
                self._setting = setting
            self._connection.execute(begin)
            result = run_to_end(work)
            if isinstance(result, Undone):
                self._roll_back()
                return result.value
            self._commit()
        except BaseException as error:
            self._roll_back()
            if _is_full(error):
                raise Unavailable(NO_ROOM) from error
            if _does_not_answer(error):
                raise Unavailable(f"the database does not answer: {error}") from error
            raise
        finally:
            work.close()
        return result

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if _is_full(error):
                # The frame that makes it a commit is written last: one that found no room was none.
                raise
            raise InDoubt(f"the database did not answer a commit: {error}") from error

    def _roll_back(self) -> None:
        # Some errors (a full disk) end the transaction by themselves.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


def _does_not_answer(error: BaseException) -> TypeGuard[sqlite3.DatabaseError]:
    """Whether it is the database that failed: a full disk, a lock that is held, a damaged file."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


async def schema_version(session: DatabaseSession) -> SchemaVersion:
    """What the last migration left, in a database that has a schema."""
    [(revision, oldest_code)] = await session.fetch(statements.SCHEMA)
    return SchemaVersion(revision, oldest_code)


def version_of(connection: sqlite3.Connection) -> SchemaVersion:
    """What the last migration left; zeros in a database without a schema."""
    table = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    if connection.execute(table).fetchone() == (0,):
        return NO_SCHEMA
    return run_to_end(schema_version(SqliteSession(connection)))
