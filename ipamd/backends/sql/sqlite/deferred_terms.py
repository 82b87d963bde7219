"""Terms of allocations come later than the rows, and go later: many at once.

FTS5 writes several pages for one entry, and hardly more for hundreds (docs/decisions/0052-terms.md). Until
then a list finds the latest rows among those that wait, which are few, and leaves out what has ended. The
constraints are not deferred: they hold from the row's own commit on.

What was written together is a segment of the index. Segments are merged in small pieces, each a unit of work,
so that no call waits for more than one piece (docs/decisions/0057-tail.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import text

from ipamd.backends.interface import Changes, InDoubt
from ipamd.backends.sql.schema.term import REACHED, always, living
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.backends.sql.sqlite.lull import Lull
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.errors import Unavailable

BATCHES: Final = 16
FEWEST: Final = 64
MOST: Final = 1024
"""As many rows as so many of the larger batches lately had, within these bounds, are taken at once.

Under full load one entry costs less of many; where calls come one by one none waits long for the writer.
"""

REMAINING: Final = 0.95
"""What is left of the size of a batch after each further one."""

OLDEST: Final = Statement(
    text(
        "SELECT count(*), max(id) FROM"
        f" (SELECT id FROM allocation WHERE id > {REACHED} ORDER BY id LIMIT :most)"
    ),
    ("most",),
)
"""How many of the oldest rows wait, and the last of them."""

ENTER: Final = Statement(
    text(
        "INSERT INTO listing (rowid, terms)"
        f" SELECT id * 2, {always('allocation')} FROM allocation WHERE id > {REACHED} AND id <= :last"
        f" UNION ALL SELECT id * 2 + 1, {living('allocation')} FROM allocation"
        f" WHERE id > {REACHED} AND id <= :last AND until IS NULL ORDER BY 1"
    ),
    ("last",),
)
"""In the order of entries: FTS5 writes what it has collected when one comes that is before the last."""

REACH: Final = Statement(text("UPDATE listing_reached SET reached = :last"), ("last",))
_GONE: Final = "SELECT id FROM listing_gone ORDER BY id LIMIT :most"
LEAVE: Final = Statement(
    text(
        "INSERT INTO listing (listing, rowid, terms)"
        f" SELECT 'delete', entry, terms FROM listing_gone WHERE id IN ({_GONE}) ORDER BY entry"
    ),
    ("most",),
)
FORGET: Final = Statement(text(f"DELETE FROM listing_gone WHERE id IN ({_GONE})"), ("most",))

STEPS: Final = 4
"""So many steps fall to as many rows as are taken at once: one takes them, and the others merge segments."""

ROWS_TO_A_PAGE: Final = 8
"""A step merges one page of the index for so many rows that are taken at once."""

MERGE: Final = Statement(
    text("INSERT INTO listing (listing, rank) VALUES ('merge', :pages)"),
    ("pages",),
)
"""Merge segments where four or more are of one size, or go on with what was begun."""

CHANGES: Final = Statement(text("SELECT total_changes()"), ())
PUT_OFF: Final = Statement(
    text(
        f"SELECT (SELECT count(*) FROM allocation WHERE id > {REACHED}) + (SELECT count(*) FROM listing_gone)"
    ),
    (),
)
"""How many rows wait for their terms, or to lose them."""

Write = Callable[[Callable[[DatabaseSession], Coroutine[Any, Any, int]]], Awaitable[int]]

log = structlog.get_logger()


class DeferringTransaction(SqlTransaction):
    """A unit of work that leaves terms for later; `put_off` counts its rows."""

    def __init__(self, session: DatabaseSession) -> None:
        super().__init__(session)
        self.put_off = 0

    async def write(self, changes: Changes) -> None:
        await super().write(changes)
        self.put_off += len(changes.begun) + len(changes.ended) + len(changes.dropped)


class DeferredTerms:
    """Writes what was put off, in units of work of its own, a step whenever so many rows have come."""

    def __init__(self, write: Write, put_off: int) -> None:
        self._write = write
        self._put_off = put_off
        self._since_step = put_off
        self._usual = 0.0
        self._is_merged = False
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def note(self, rows: int) -> None:
        """Count the rows of a batch, which may have been written; too many is no harm."""
        if not rows or self._closing:
            return
        self._put_off += rows
        self._since_step += rows
        # Under load small batches come between large ones, with what had to wait for a block.
        self._usual = max(rows, REMAINING * self._usual)
        if self._since_step >= self._at_once // STEPS and (self._task is None or self._task.done()):
            self._since_step = 0
            self._task = asyncio.create_task(self._try(self._step()))

    async def finish(self, lull: Lull) -> None:
        """Do what a burst left before the next one comes, in the smallest steps: a call may come."""
        if self._task is not None:
            await self._task
        await self._try(self._finish(lull))

    @property
    def _at_once(self) -> int:
        return at_once(self._usual)

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (Unavailable, InDoubt) as error:
            log.warning("the latest allocations have no terms for lists yet", why=str(error))

    async def _finish(self, lull: Lull) -> None:
        while lull.lasts and self._put_off >= FEWEST:
            await self._take(FEWEST)
        while lull.lasts and not self._is_merged:
            await self._merge(FEWEST)

    async def _step(self) -> None:
        """Take rows if enough wait, or merge a piece; both in turn while many more wait."""
        while self._put_off >= self._at_once and not self._closing:
            await self._take(self._at_once)
            if self._put_off < self._at_once:
                return
            await self._merge(self._at_once)
        if not self._is_merged and not self._closing:
            await self._merge(self._at_once)

    async def _take(self, rows: int) -> None:
        written = await self._write(partial(catch_up, rows))
        self._put_off = self._put_off - written if written >= rows else 0
        self._is_merged = False

    async def _merge(self, rows: int) -> None:
        self._is_merged = not await self._write(partial(merge, rows))

    async def close(self) -> None:
        """Begin nothing more, and wait for what is under way. Who opens the file next goes on."""
        self._closing = True
        if self._task is not None:
            await self._task


def at_once(usual: float) -> int:
    """How many rows are taken at once where batches have so many."""
    return int(min(max(FEWEST, BATCHES * usual), MOST))


async def catch_up(most: int, session: DatabaseSession) -> int:
    """Write the terms of the oldest rows that wait, and take away those of what went first: how many."""
    [(waiting, last)] = await session.fetch(OLDEST, most)
    if waiting:
        await session.run(ENTER, last)
        await session.run(REACH, last)
    await session.run(LEAVE, most)
    return int(waiting) + await session.run(FORGET, most)


async def merge(rows: int, session: DatabaseSession) -> bool:
    """Merge segments by the pages that fall to so many rows; whether there was anything to merge."""
    [(before,)] = await session.fetch(CHANGES)
    await session.run(MERGE, rows // ROWS_TO_A_PAGE)
    [(after,)] = await session.fetch(CHANGES)
    return int(after) - int(before) > 1  # one is the statement itself
