"""The connections of one process: few, opened when they are needed, divided among their purposes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, NamedTuple

from ipamd.backends.sql.postgres.connection import Connection, Door, PostgresSession
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, unreachable
from ipamd.models.errors import Unavailable


class Purpose(Enum):
    """What a connection is wanted for, and how many of the process may be in use for it.

    None of them can take the connections of another: calls that wait for a lock, or an admin's change that
    waits for all of a pool's blocks, leave those of the batches alone.
    """

    BATCH = "batches", 3
    WAITING = "calls that wait", 4
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


class _Opened(NamedTuple):
    """A connection, and how often all had been thrown away before it was opened."""

    connection: Connection
    age: int


class _Idle(NamedTuple):
    opened: _Opened
    since: float


class Connections:
    """Opens connections, keeps those that are not in use, and never has more than its purposes allow.

    Everything that a unit of work sets is set for its transaction alone, so that a connection that is given
    back is as good as new; one of which that is not certain is closed. When one finds its server gone, all of
    them are thrown away: they lead to the same server, and would each find out for itself.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._age = 0
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
                opened = await self._connected()
                session = PostgresSession(opened.connection, self._door.settings)
                try:
                    yield session
                except asyncio.CancelledError:
                    opened.connection.terminate()  # it may be in the middle of a statement
                    raise
                except BaseException:
                    if not session.lost:
                        await _undo(opened.connection)
                    raise
                finally:
                    if session.lost and opened.age == self._age:
                        self._throw_away()
                    self._keep(opened)
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

    async def _connected(self) -> _Opened:
        """The connection that was used last, or a new one."""
        while self._idle:
            opened = self._idle.pop().opened
            if not opened.connection.is_closed():
                return opened
        age = self._age
        try:
            return _Opened(await self._door.open(), age)
        except DRIVER_ERRORS as error:
            raise Unavailable(unreachable(error)) from error

    def _throw_away(self) -> None:
        """Count on no connection that was opened before now; those in use go when they are given back."""
        self._age += 1
        self._door.turn_away()
        while self._idle:
            self._idle.pop().opened.connection.terminate()

    def _keep(self, opened: _Opened) -> None:
        now = asyncio.get_running_loop().time()
        if opened.age != self._age:
            opened.connection.terminate()
        elif not opened.connection.is_closed():
            self._idle.append(_Idle(opened, now))
        while self._idle and self._idle[0].since < now - UNUSED_SECONDS:
            self._idle.pop(0).opened.connection.terminate()

    async def close(self) -> None:
        """Wait for what is under way, within a bound, and close all that is not in use."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._none_left.wait()
                while self._idle:
                    await self._idle.pop().opened.connection.close()
        except DRIVER_ERRORS:
            for idle in self._idle:
                idle.opened.connection.terminate()


async def _undo(connection: Connection) -> None:
    """Undo what was not committed; a connection that cannot do that is done with."""
    try:
        await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
    except DRIVER_ERRORS:
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise
