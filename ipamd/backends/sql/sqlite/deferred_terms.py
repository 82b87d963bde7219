"""Terms of allocations come later than the rows, and go later: many at once.

FTS5 writes several pages for one entry, and hardly more for hundreds (docs/decisions/0052-terms.md). Until
then a list finds the latest rows among those that wait, which are few, and leaves out what has ended. The
constraints are not deferred: they hold from the row's own commit on.
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
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.errors import Unavailable

BATCHES: Final = 16
FEWEST: Final = 256
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
    """Writes what was put off, in units of work of its own, whenever enough was."""

    def __init__(self, write: Write, put_off: int) -> None:
        self._write = write
        self._put_off = put_off
        self._usual = 0.0
        self._catching_up: asyncio.Task[None] | None = None
        self._closing = False

    def note(self, rows: int) -> None:
        """Count the rows of a batch, which may have been written; too many is no harm."""
        if not rows or self._closing:
            return
        self._put_off += rows
        # Under load small batches come between large ones, with what had to wait for a block.
        self._usual = max(rows, REMAINING * self._usual)
        if self._put_off >= self._at_once and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.create_task(self._catch_up())

    @property
    def _at_once(self) -> int:
        return int(min(max(FEWEST, BATCHES * self._usual), MOST))

    async def _catch_up(self) -> None:
        while self._put_off >= (wanted := self._at_once) and not self._closing:
            try:
                written = await self._write(partial(catch_up, wanted))
            except (Unavailable, InDoubt) as error:
                log.warning("the latest allocations have no terms for lists yet", why=str(error))
                return
            self._put_off = self._put_off - written if written >= wanted else 0

    async def close(self) -> None:
        """Begin nothing more, and wait for what is under way. Who opens the file next goes on."""
        self._closing = True
        if self._catching_up is not None:
            await self._catching_up


async def catch_up(most: int, session: DatabaseSession) -> int:
    """Write the terms of the oldest rows that wait, and take away those of what went first: how many."""
    [(waiting, last)] = await session.fetch(OLDEST, most)
    if waiting:
        await session.run(ENTER, last)
        await session.run(REACH, last)
    await session.run(LEAVE, most)
    return int(waiting) + await session.run(FORGET, most)
