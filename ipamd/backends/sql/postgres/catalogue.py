"""A change of what admins decide, in PostgreSQL: one after another, and over all the blocks it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from ipamd.backends.sql import change_log, statements
from ipamd.backends.sql.catalogue import SqlCatalogueChange
from ipamd.backends.sql.entries import reservation_values
from ipamd.backends.sql.postgres import arrays
from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.locking import key_of_boots, key_of_counting
from ipamd.backends.sql.postgres.transaction import fitting_revision, write_blocks
from ipamd.backends.sql.postgres.unit import milliseconds
from ipamd.backends.sql.rows import block_of, cursor_bytes, number_bytes
from ipamd.backends.sql.session import Values
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Removable
from ipamd.models.change_log import LogEntry
from ipamd.models.node import Boot, NodeKey
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation

COUNTING_SECONDS: Final = 50.0
"""How long one statement may count. A change as a whole may take a minute."""


class PostgresCatalogueChange(SqlCatalogueChange):
    """See `CatalogueChange`. Its one row is locked first, then blocks in the order of their numbers."""

    deferred: ClassVar = False

    def __init__(self, session: PostgresSession) -> None:
        super().__init__(session)
        self._connection = session
        self._reservations: dict[int, Values] = {}

    async def _read_revision(self) -> int:
        return await fitting_revision(self._connection, arrays.REVISION)

    async def save(self, entry: Entry) -> None:
        """See `CatalogueChange`. Reservations, of which a file may have thousands, are written together."""
        if isinstance(entry, Reservation):
            saved = replace(entry, revision=await self._revision())
            self._reservations[entry.id] = reservation_values(saved)
        else:
            await super().save(entry)

    async def remove(self, entry: Removable) -> None:
        await self.write_reservations()
        await super().remove(entry)

    async def write_reservations(self) -> None:
        """Write what was saved of them, the last of all that a change does."""
        if self._reservations:
            values = arrays.columns_of([*self._reservations.values()])
            self._reservations = {}
            await self._connection.run(arrays.SAVE_RESERVATIONS, *values)

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        values = (pool, number_bytes(first), number_bytes(last))
        blocks = map(block_of, await self._connection.fetch(arrays.BLOCKS_BETWEEN, *values))
        return [block for block in blocks if block.first + block.size > first]

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        await write_blocks(self._connection, blocks)
        if cursor is not None:
            await self._connection.run(statements.LOWER_CURSOR, pool, cursor_bytes(cursor))

    async def count(self, quotas: Sequence[Quota]) -> None:
        # In a statement of its own: the next one sees what those committed who had taken one as counting.
        keys = sorted(key_of_counting(quota.name) for quota in quotas)
        await self._connection.fetch(arrays.WAIT_FOR_LOCKS, keys)
        # Ten million rows take longer than a statement of a change otherwise may.
        await self._connection.say(f"SET LOCAL statement_timeout = {milliseconds(COUNTING_SECONDS)}")
        await super().count(quotas)

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        # Who numbers a node's boots waits for who does: two that add the same ones see each other's.
        await self._connection.fetch(arrays.WAIT_FOR_LOCKS, [key_of_boots(node)])
        return await super().boots(node)

    async def log(self, entries: Sequence[LogEntry]) -> None:
        await self.write_reservations()  # before the numbers of clusters are locked, as what is logged here
        if entries:
            values = arrays.columns_of([change_log.entry_values(each) for each in entries])
            await self._connection.run(arrays.NOTE_CHANGES, *values)
