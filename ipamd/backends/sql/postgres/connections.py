"""The connections of one process: few, opened when they are needed, divided among their purposes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Final

import asyncpg

from ipamd.backends.sql.postgres.connection import Connection, PostgresSession, connect
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, said
from ipamd.models.errors import Unavailable


class Purpose(Enum):
    """What a connection is wanted for, and how many of the process may be in use for it.

    None of them can take the connections of another: calls that wait for a lock, or an admin's change that
    waits for all of a pool's blocks, leave those of the batches alone.
    """

    BATCH = "batches", 3
    PATIENT = "calls that wait", 4
    CHANGE = "changes", 2
    READING = "readings", 3

    @property
    def most(self) -> int:
        most: int = self.value[1]
        return most


MOST: Final = sum(purpose.most for purpose in Purpose)
"""What one process takes of the server's max_connections, at most."""

UNUSED_SECONDS: Final = 300.0
QUERIES_FOR_EVER: Final = 1 << 62
ROLLBACK_SECONDS: Final = 2.0
CLOSING_SECONDS: Final = 5.0


class Connections:
    """asyncpg's pool, which opens, watches and closes them, behind a bound for each purpose."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = {purpose: asyncio.Semaphore(purpose.most) for purpose in Purpose}
        self._pool: Any = None
        self._sessions = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    async def open(self) -> None:
        """Prepare to connect; nothing is opened yet."""
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=MOST,
            max_queries=QUERIES_FOR_EVER,
            max_inactive_connection_lifetime=UNUSED_SECONDS,
            connect=self._connect,
            reset=_nothing,
        )

    async def _connect(self, *_: Any, **__: Any) -> Connection:
        return await connect(self._url)

    @asynccontextmanager
    async def session(self, purpose: Purpose, seconds: float) -> AsyncIterator[PostgresSession]:
        """A session outside any transaction; what it began and did not end is undone.

        Raises Unavailable when none is free for so many seconds, or none can be opened.
        """
        self._sessions += 1
        self._none_left.clear()
        try:
            connection = await self._acquired(purpose, seconds)
            try:
                yield PostgresSession(connection)
            except asyncio.CancelledError:
                connection.terminate()  # it may be in the middle of a statement
                raise
            finally:
                await self._give_back(purpose, connection)
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._none_left.set()

    async def _acquired(self, purpose: Purpose, seconds: float) -> Connection:
        free = self._free[purpose]
        try:
            async with asyncio.timeout(seconds):
                await free.acquire()
        except TimeoutError:
            raise Unavailable(f"all connections for {purpose.value[0]} are in use: try again") from None
        try:
            return await self._pool.acquire()
        except DRIVER_ERRORS as error:
            free.release()
            raise Unavailable(f"the database cannot be reached: {said(error)}") from error
        except BaseException:
            free.release()
            raise

    async def _give_back(self, purpose: Purpose, connection: Connection) -> None:
        try:
            if not connection.is_closed() and connection.is_in_transaction():
                await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
        except DRIVER_ERRORS:
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise
        finally:
            try:
                await self._pool.release(connection)
            finally:
                self._free[purpose].release()

    async def close(self) -> None:
        """Wait for what is under way, within a bound, and close all."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._none_left.wait()
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _nothing(connection: Connection) -> None:
    """All that a unit of work sets is set for its transaction alone, so that there is nothing to reset."""
