"""Migrations on PostgreSQL: one at a time, whoever starts them, each all of the way or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy import Connection as Lent
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from ipamd.backends.sql.postgres.address import Address
from ipamd.backends.sql.postgres.connection import Connection, Door, PostgresSession
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, cannot_open, said
from ipamd.backends.sql.postgres.fitness import refuse_server, version_of
from ipamd.backends.sql.postgres.locking import MIGRATION_KEY
from ipamd.backends.sql.postgres.unit import milliseconds, quoted
from ipamd.backends.sql.version import SchemaVersion
from ipamd.models.errors import DatabaseUnfit

Step = Callable[[Lent, SchemaVersion], None]
"""Migrates over a lent connection inside a transaction, from the version that it found."""

PLANS: Final = {"enable_seqscan": "on", "enable_hashjoin": "on", "enable_mergejoin": "on"}
"""A step may read a table whole, which nothing else does."""

OTHERS_SECONDS: Final = 60.0
"""How long another `ipamd migrate` on the same database is waited for."""

LOCK_SECONDS: Final = 2.0
"""How long a step waits for a table that replicas use: what they ask meanwhile waits behind it."""

NOT_YET: Final = (asyncpg.CannotConnectNowError, OSError, TimeoutError)
"""A server that may still be coming: whatever else refuses a connection refuses the next one, too."""

ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 0.5


async def current(url: str) -> SchemaVersion:
    """What the last migration left; raises DatabaseUnfit."""
    door = Door(Address.read(url), PLANS)
    async with _opened(door, OTHERS_SECONDS) as connection:
        return await version_of(PostgresSession(connection))


async def wait(url: str, seconds: float) -> None:
    """Return when the server takes connections, or refuses for a reason that time does not mend.

    Raises DatabaseUnfit, with the last reason, if it does neither for so many seconds.
    """
    door = Door(Address.read(url), PLANS)
    end = time.monotonic() + seconds
    while True:
        try:
            connection = await door.open()
        except NOT_YET as error:
            if time.monotonic() >= end:
                raise cannot_open(door.address.place, error) from error
            await asyncio.sleep(PAUSE_SECONDS)
        except DRIVER_ERRORS:
            return
        else:
            connection.terminate()
            return


async def migrate(url: str, step: Step) -> SchemaVersion:
    """Run a step that migrates; what the schema is then. Raises DatabaseUnfit and what the step raises.

    Tried as often as it meets a table in use; each attempt gives way to the replicas.
    """
    door = Door(Address.read(url), PLANS)
    for _ in range(ATTEMPTS - 1):
        try:
            return await _attempt(door, step)
        except TableInUse:
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        return await _attempt(door, step)
    except TableInUse as error:
        raise cannot_open(door.address.place, error.cause) from error


class TableInUse(Exception):
    """A step met a table that others use, for longer than it waits."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


async def _attempt(door: Door, step: Step) -> SchemaVersion:
    """All of a migration, its lock too, in one transaction: so it goes through a pooler."""
    async with _opened(door, OTHERS_SECONDS) as connection:
        session = PostgresSession(connection)
        try:
            await session.say(f"SELECT pg_advisory_xact_lock({MIGRATION_KEY})")
        except asyncpg.LockNotAvailableError:
            raise DatabaseUnfit(
                f"another `ipamd migrate` is migrating the database {door.address.place}: wait until it "
                "ends, then try again"
            ) from None
        await session.say(f"SELECT set_config('lock_timeout', '{milliseconds(LOCK_SECONDS)}', true)")
        try:
            await _run(connection, step, await version_of(session))
        except asyncpg.LockNotAvailableError as error:
            raise TableInUse(error) from error
        version = await version_of(session)
        await session.say("COMMIT")
        return version


@asynccontextmanager
async def _opened(door: Door, locks: float) -> AsyncIterator[Connection]:
    """A connection in a transaction that is undone unless committed, to a database that may be ours."""
    place = door.address.place
    try:
        connection = await door.open()
        try:
            session = PostgresSession(connection)
            await session.say(_opening(door, locks))
            await refuse_server(session, place)
            yield connection
        finally:
            connection.terminate()
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseUnfit(
            f"this user may not create tables in the database {place} ({said(error)}): migrate as the "
            "owner of the schema, or `GRANT CREATE, USAGE ON SCHEMA …` to the user"
        ) from error
    except DRIVER_ERRORS as error:
        raise cannot_open(place, error) from error


def _opening(door: Door, locks: float) -> str:
    settings = {**door.settings, "lock_timeout": str(milliseconds(locks))}
    sets = ", ".join(f"set_config({quoted(key)}, {quoted(to)}, true)" for key, to in settings.items())
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT {sets}"


async def _run(connection: Connection, step: Step, found: SchemaVersion) -> None:
    """Run a step in the connection's transaction; it is lent to SQLAlchemy, which is what alembic takes."""

    async def lend() -> Connection:
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lend,
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"prepared_statement_cache_size": 0},
    )
    try:
        async with engine.connect() as lent:
            await lent.run_sync(step, found)
    except DBAPIError as error:
        raise _cause(error) from error


def _cause(error: DBAPIError) -> BaseException:
    """The driver's own error, which SQLAlchemy's stands around."""
    return (error.orig and error.orig.__cause__) or error.orig or error
