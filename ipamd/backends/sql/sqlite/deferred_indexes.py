"""The deferred indexes: a row enters those that serve listings alone together with many others.

An ADD's row has random or many places in them (names, nodes), and each place is a page that its commit
writes. Of a thousand rows many share a page, so that each costs a part of it
(docs/decisions/0022-deferred-indexes.md). Until then a listing finds the row among those that wait, which are
few. The constraints are not deferred: they hold from the row's own commit on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

import structlog

from ipamd.backends.interface import Changes, InDoubt
from ipamd.backends.sql import statements
from ipamd.backends.sql.session import DatabaseSession
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.errors import Unavailable

BATCHES: Final = 16
FEWEST: Final = 32
MOST: Final = 2048
"""Rows are listed by as many as so many of the larger batches lately had, within these bounds.

Under full load many share a page; where calls come one by one none waits long for the writer.
"""

REMAINING: Final = 0.95
"""What is left of the size of a batch after each further one."""

Write = Callable[[Callable[[DatabaseSession], Coroutine[Any, Any, int]]], Awaitable[int]]

log = structlog.get_logger()


class DeferringTransaction(SqlTransaction):
    """A unit of work whose rows wait to be listed; `begun` counts them."""

    begin_allocation = statements.BEGIN_UNLISTED

    def __init__(self, session: DatabaseSession) -> None:
        super().__init__(session)
        self.begun = 0

    async def write(self, changes: Changes) -> None:
        await super().write(changes)
        self.begun += len(changes.begun)


class DeferredIndexes:
    """Lists what waits, in units of work of its own, whenever enough does."""

    def __init__(self, write: Write, waiting: int) -> None:
        self._write = write
        self._waiting = waiting
        self._usual = 0.0
        self._listing: asyncio.Task[None] | None = None

    def note(self, begun: int) -> None:
        """Count the rows of a batch, which may have been added; too many is no harm."""
        if not begun:
            return
        self._waiting += begun
        # Under load small batches come between large ones, with what had to wait for a block.
        self._usual = max(begun, REMAINING * self._usual)
        if self._waiting >= self._at_once and (self._listing is None or self._listing.done()):
            self._listing = asyncio.create_task(self._list())

    @property
    def _at_once(self) -> int:
        return int(min(max(FEWEST, BATCHES * self._usual), MOST))

    async def _list(self) -> None:
        while self._waiting >= (wanted := self._at_once):
            try:
                listed = await self._write(partial(_list, wanted))
            except (Unavailable, InDoubt) as error:
                log.warning("the latest allocations are not yet in the indexes of listings", why=str(error))
                return
            self._waiting = self._waiting - listed if listed == wanted else 0

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._listing is not None:
            await self._listing


async def _list(most: int, session: DatabaseSession) -> int:
    return await session.run(statements.LIST_ALLOCATIONS, most)
