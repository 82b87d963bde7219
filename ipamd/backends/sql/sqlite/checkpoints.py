"""Moves the journal into the database beside the thread that writes.

A commit that finds the journal long moves what is in it, and all calls behind that commit wait. SQLite's
passive checkpoint, on a connection of its own, makes nobody wait. It moves a piece each time, so that the
commit finds little left, and the journal begins anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from ipamd.backends.sql.sqlite.connection import CHECKPOINT_SETTINGS, connect

T = TypeVar("T")

PIECE: Final = 2000
"""So many pages of the journal are moved at once, as far as that can be foreseen."""

LEFT: Final = 4
"""In a lull what is left is moved if it is one part in so many of a piece, or more."""

MOST_COMMITS: Final = 500
"""Between two pieces, however small the commits are; half as many before the first."""

log = structlog.get_logger()


class Checkpoints:
    """Moves a piece of the journal whenever as many units of work were committed as usually fill one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ipamd-checkpoint")
        self._moving: asyncio.Task[None] | None = None
        self._commits = 0
        self._between = MOST_COMMITS // 2
        self._length = 0

    def note(self) -> None:
        """Count a unit of work."""
        self._commits += 1
        self._begin(self._between)

    def finish(self) -> None:
        """Move what is left where it is worth its two syncs."""
        self._begin(self._between // LEFT)

    def _begin(self, after: int) -> None:
        if self._commits >= after and (self._moving is None or self._moving.done()):
            self._moving = asyncio.create_task(self._move())

    async def close(self) -> None:
        """Wait for what is under way, and close the connection."""
        if self._moving is not None:
            await self._moving
        if self._connection is not None:
            await self._in_thread(self._connection.close)
        self._thread.shutdown()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _move(self) -> None:
        commits, self._commits = self._commits, 0
        try:
            length = await self._in_thread(self._checkpoint)
        except sqlite3.Error as error:
            log.warning("the journal could not be moved into the database: commits do it", why=str(error))
            return
        if length is None:
            return
        # The journal is shorter than before if it began anew meanwhile.
        pages = length - self._length if length > self._length else length
        self._length = length
        self._between = min(max(commits * PIECE // max(pages, 1), 1), MOST_COMMITS)

    def _checkpoint(self) -> int | None:
        """Move what can be moved. Returns the pages of the journal, None if a commit is moving them."""
        if self._connection is None:
            self._connection = connect(self._path, CHECKPOINT_SETTINGS)
        [(busy, length, _)] = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return None if busy else length
