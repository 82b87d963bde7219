"""Migrations on PostgreSQL: one at a time, whoever starts them, each all of the way or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy import Connection as Lent
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ipamd.backends.sql.postgres.connection import Connection, PostgresSession, connect, place_of
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, cannot_open, said
from ipamd.backends.sql.postgres.fitness import refuse_server, version_of
from ipamd.backends.sql.postgres.locking import MIGRATION_KEY
from ipamd.backends.sql.postgres.unit import milliseconds
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

ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 0.5


async def current(url: str) -> SchemaVersion:
    """What the last migration left; raises DatabaseUnfit."""
    async with _opened(url) as connection:
        return await version_of(PostgresSession(connection))


async def migrate(url: str, step: Step) -> SchemaVersion:
    """Run a step that migrates; what the schema is then. Raises DatabaseUnfit and what the step raises."""
    async with _opened(url) as connection:
        await _wait_for_others(connection, place_of(url))
        await _step(url, step, await version_of(PostgresSession(connection)))
        return await version_of(PostgresSession(connection))


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Connection]:
    """A connection to a database that a schema of ours may be in, closed afterwards with all its locks."""
    place = place_of(url)
    try:
        connection = await connect(url, **PLANS)
        try:
            await refuse_server(PostgresSession(connection), place)
            yield connection
        finally:
            await connection.close()
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseUnfit(
            f"the database {place} lets this user make no tables ({said(error)}): migrate as the owner of "
            "the schema, or `GRANT CREATE, USAGE ON SCHEMA public` to the user"
        ) from error
    except DRIVER_ERRORS as error:
        raise cannot_open(place, error) from error


async def _wait_for_others(connection: Connection, place: str) -> None:
    await connection.execute(f"SET lock_timeout = {milliseconds(OTHERS_SECONDS)}")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_KEY)
    except asyncpg.LockNotAvailableError:
        raise DatabaseUnfit(
            f"the database {place} is being migrated by another `ipamd migrate`: see that it ends, try again"
        ) from None


async def _step(url: str, step: Step, found: SchemaVersion) -> None:
    """Try a step as often as it meets a table in use; each attempt gives way to the replicas."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await _whole(url, step, found)
        except asyncpg.LockNotAvailableError:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def _whole(url: str, step: Step, found: SchemaVersion) -> None:
    """One attempt, in a transaction on a connection of SQLAlchemy's, which is what alembic takes."""
    settings = {**PLANS, "lock_timeout": str(milliseconds(LOCK_SECONDS))}
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(url, **settings), poolclass=NullPool
    )
    try:
        async with engine.begin() as lent:
            await lent.run_sync(step, found)
    except DBAPIError as error:
        raise _cause(error) from error


def _cause(error: DBAPIError) -> BaseException:
    """The driver's own error, which SQLAlchemy's stands around."""
    return (error.orig and error.orig.__cause__) or error.orig or error
