"""The connections of one process: few, opened when they are needed, divided among their purposes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, NamedTuple

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
ROLLBACK_SECONDS: Final = 2.0
CLOSING_SECONDS: Final = 5.0


class _Idle(NamedTuple):
    connection: Connection
    since: float


class Connections:
    """Opens connections, keeps those that are not in use, and never has more than its purposes allow.

    Everything that a unit of work sets is set for its transaction alone, so that a connection that is given
    back is as good as new; one of which that is not certain is closed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = {purpose: asyncio.Semaphore(purpose.most) for purpose in Purpose}
        self._idle: list[_Idle] = []
        self._sessions = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    @asynccontextmanager
    async def session(self, purpose: Purpose, seconds: float) -> AsyncIterator[PostgresSession]:
        """A session outside any transaction; what it began and did not end is undone.

        Raises Unavailable when none is free for so many seconds, or none can be opened.
        """
        self._sessions += 1
        self._none_left.clear()
        try:
            async with self._turn(purpose, seconds):
                connection = await self._connected()
                try:
                    yield PostgresSession(connection)
                except asyncio.CancelledError:
                    connection.terminate()  # it may be in the middle of a statement
                    raise
                except BaseException:
                    await _undo(connection)
                    raise
                finally:
                    self._keep(connection)
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._none_left.set()

    @asynccontextmanager
    async def _turn(self, purpose: Purpose, seconds: float) -> AsyncIterator[None]:
        free = self._free[purpose]
        try:
            async with asyncio.timeout(seconds):
                await free.acquire()
        except TimeoutError:
            raise Unavailable(f"all connections for {purpose.value[0]} are in use: try again") from None
        try:
            yield
        finally:
            free.release()

    async def _connected(self) -> Connection:
        """The connection that was used last, or a new one."""
        while self._idle:
            connection = self._idle.pop().connection
            if not connection.is_closed():
                return connection
        try:
            return await connect(self._url)
        except DRIVER_ERRORS as error:
            raise Unavailable(f"the database cannot be reached: {said(error)}") from error

    def _keep(self, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if not connection.is_closed():
            self._idle.append(_Idle(connection, now))
        while self._idle and self._idle[0].since < now - UNUSED_SECONDS:
            self._idle.pop(0).connection.terminate()

    async def close(self) -> None:
        """Wait for what is under way, within a bound, and close all that is not in use."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._none_left.wait()
                while self._idle:
                    await self._idle.pop().connection.close()
        except DRIVER_ERRORS:
            for idle in self._idle:
                idle.connection.terminate()


async def _undo(connection: Connection) -> None:
    """Undo what was not committed; a connection that cannot do that is done with."""
    try:
        await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
    except DRIVER_ERRORS:
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise
