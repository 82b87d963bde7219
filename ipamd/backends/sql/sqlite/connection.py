"""Connections to SQLite: settings, and how statements and units of work run on one."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.pool import NullPool

from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import ConstraintViolated
from ipamd.backends.sql import statements
from ipamd.backends.sql.session import Compiled, Session, Statement, Values, compiled
from ipamd.backends.sql.version import NO_SCHEMA, SchemaVersion
from ipamd.models.errors import Unavailable

T = TypeVar("T")

SETTINGS: Final = (
    "PRAGMA journal_mode=WAL",  # readers never wait for the writer, nor it for them
    "PRAGMA synchronous=FULL",  # a commit that was answered survives a loss of power
    "PRAGMA busy_timeout=3000",  # somebody else's sqlite3 on the file, at most this many milliseconds
    "PRAGMA foreign_keys=OFF",  # history outlives its pool
    "PRAGMA cache_size=-65536",  # KiB
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=8000",  # pages: many changes of one page go to the database as one
    "PRAGMA journal_size_limit=67108864",
)
READER_SETTINGS: Final = (
    "PRAGMA busy_timeout=3000",
    "PRAGMA query_only=ON",
    "PRAGMA cache_size=-16384",
    "PRAGMA temp_store=MEMORY",
)


def engine_for(path: Path) -> Engine:
    """An engine whose connections begin and end no transaction of their own accord."""
    return sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "cached_statements": 512},
    )


class SqliteSession:
    """See `Session`: statements as text and tuples, which is what costs least of what Core offers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._compiled: dict[Statement, Compiled] = {}

    def _for(self, statement: Statement) -> Compiled:
        known = self._compiled.get(statement)
        if known is None:
            known = self._compiled[statement] = compiled(statement, self._connection.dialect)
        return known

    async def fetch(self, statement: Statement, *values: Any) -> Sequence[Sequence[Any]]:
        ready = self._for(statement)
        return self._connection.exec_driver_sql(ready.text, ready.arranged(values)).fetchall()

    async def run(self, statement: Statement, *values: Any) -> int:
        return await self.run_many(statement, [values])

    async def run_many(self, statement: Statement, rows: Sequence[Values]) -> int:
        ready = self._for(statement)
        arranged = list(rows) if ready.places is None else [ready.arranged(row) for row in rows]
        try:
            return self._connection.exec_driver_sql(ready.text, arranged).rowcount
        except IntegrityError as error:
            raise ConstraintViolated(str(error.orig)) from error

    def whole(self, begin: str, work: Coroutine[Any, Any, T]) -> T:
        """Run a unit of work between `begin` and its commit; an exception undoes it and is passed on."""
        try:
            self._connection.exec_driver_sql(begin)
            result = run_to_end(work)
            self._connection.exec_driver_sql("COMMIT")
        except BaseException as error:
            self._roll_back()
            if _does_not_answer(error):
                raise Unavailable(f"the database does not answer: {error.orig}") from error
            raise
        finally:
            work.close()
        return result

    def _roll_back(self) -> None:
        # Some errors (a full disk) end the transaction by themselves.
        if self._connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]  # it is connected
            self._connection.exec_driver_sql("ROLLBACK")


def _does_not_answer(error: BaseException) -> TypeGuard[DatabaseError]:
    """Whether it is the database that failed: a full disk, a lock that is held, a damaged file."""
    return isinstance(error, OperationalError) or type(error) is DatabaseError


def connect(engine: Engine) -> Connection:
    """A connection that writes."""
    connection = engine.connect()
    try:
        for setting in SETTINGS:
            connection.exec_driver_sql(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(connection: Connection) -> SchemaVersion:
    """What the last migration left; zeros in a database without a schema."""
    table = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    if not connection.exec_driver_sql(table).scalar_one():
        return NO_SCHEMA
    return run_to_end(schema_version(SqliteSession(connection)))


async def schema_version(session: Session) -> SchemaVersion:
    """What the last migration left, in a database that has a schema."""
    [(revision, oldest_code)] = await session.fetch(statements.SCHEMA)
    return SchemaVersion(revision, oldest_code)
