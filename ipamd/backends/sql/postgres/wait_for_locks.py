"""The unit of work of a call that met the lock of another: it waits, always in the same order.

Identities come first, in the order of their numbers, then quotas that are counting, then holds and their
addresses, then blocks, in the order of pool and number, then tallies. Whoever waits for a block holds only
blocks before it, so that no two wait for each other. A block before one that is held already is tried, not
waited for; where others have it, all is undone and begun again, that block first.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ipamd.backends.interface import (
    BlockId,
    BlockSearch,
    BlocksWithFree,
    Changes,
    Found,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.backends.sql import holds, tallies
from ipamd.backends.sql.postgres import arrays
from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.locking import key_of_counting, keys_of_holders
from ipamd.backends.sql.postgres.searching import (
    BlockKey,
    by_kind,
    key_values,
    longest_free_first,
    meant_by,
    numbered_keys,
    search_values,
)
from ipamd.backends.sql.postgres.transaction import PostgresTransaction
from ipamd.backends.sql.postgres.waiting import Deadline
from ipamd.backends.sql.rows import block_of
from ipamd.backends.sql.session import Statement
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.quota import Tally


class OutOfOrder(Exception):
    """Others hold blocks that come before one that is held here: begin again with them."""

    def __init__(self, missed: set[BlockKey]) -> None:
        super().__init__("blocks are held by others, out of order")
        self.missed = missed


class WaitingTransaction(PostgresTransaction):
    """See `Transaction`; `first` are blocks to lock before all that is searched."""

    def __init__(self, session: PostgresSession, deadline: Deadline, first: Iterable[BlockKey]) -> None:
        super().__init__(session)
        self._deadline = deadline
        self._first = set(first)
        self._held: dict[BlockKey, Block | None] = {}

    async def find(self, digests: Sequence[Digest]) -> Found:
        keys = keys_of_holders(digests)
        await self._wait(arrays.WAIT_FOR_LOCKS, keys.values())
        return await self._found(keys)

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        await self._wait(arrays.WAIT_FOR_SHARED_LOCKS, map(key_of_counting, counting))
        return Tallied(await tallies.read(self._session, wanted))

    async def _wait(self, statement: Statement, keys: Iterable[int]) -> None:
        ordered = sorted(set(keys))
        if ordered:
            await self._deadline.bound(self._session)
            await self._session.fetch(statement, ordered)

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        # Of two that wait for addresses of one hold the second waits for the first. Who does not wait may
        # have locked some of them, and ends soon.
        keys = keys_of_holders(search.digest for search in searches)
        await self._wait(arrays.WAIT_FOR_LOCKS, keys.values())
        await self._deadline.bound(self._session)
        return await holds.read(self._session, searches, holds.AT_LOCKED, holds.READY_LOCKED)

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        if self._held:
            # The caller may have written them since, and keeps what it was given.
            await self._keep(arrays.LOCK_FREE_BLOCKS, list(self._held))
        wanted = numbered_keys(searches) | self._first
        self._first = set()
        while True:
            wanted |= await self._candidates(searches)
            wanted -= self._held.keys()
            if not wanted:
                return [Locked(self._answer(search)) for search in searches]
            await self._take(wanted)

    def _answer(self, search: BlockSearch) -> list[Block]:
        if isinstance(search, BlockId):
            block = self._held[search.pool, search.first]
            return [] if block is None else [_copy_of(block)]
        return [_copy_of(block) for block in self._meant(search)[: search.limit]]

    def _meant(self, search: BlocksWithFree) -> list[Block]:
        """The blocks held that a search looks for: nobody changes them any more."""
        held = (block for block in self._held.values() if block is not None)
        return longest_free_first((block for block in held if meant_by(search, block)), search)

    async def _candidates(self, searches: Sequence[BlockSearch]) -> set[BlockKey]:
        """Blocks with room that are not held, as many as each search still lacks, whoever has them."""
        found: set[BlockKey] = set()
        for kind, asked in by_kind(searches).items():
            lacking = [(search, search.limit - len(self._meant(search))) for _, search in asked]
            # Those that are held may come first in what is read.
            values = [search_values(search, lack + len(self._held)) for search, lack in lacking if lack > 0]
            if values:
                rows = await self._session.fetch(arrays.WITH_FREE[kind], *arrays.columns_of(values))
                found |= {(pool, int.from_bytes(first, "big")) for pool, first in rows}
        return found - self._held.keys()

    async def _take(self, wanted: set[BlockKey]) -> None:
        last = max(self._held, default=None)
        early = sorted(key for key in wanted if last is not None and key < last)
        if early:
            await self._keep(arrays.LOCK_FREE_BLOCKS, early)
            rows = await self._session.fetch(arrays.EXISTING_BLOCKS, *arrays.columns_of(key_values(early)))
            existing = {(pool, int.from_bytes(first, "big")) for pool, first in rows}
            missed = {key for key in early if key in existing and self._held[key] is None}
            if missed:
                raise OutOfOrder(missed)
        late = sorted(wanted.difference(early))
        if late:
            await self._deadline.bound(self._session)
            await self._keep(arrays.WAIT_FOR_BLOCKS, late)

    async def write(self, changes: Changes) -> None:
        await super().write(changes)
        self._held.update({(block.pool, block.first): _copy_of(block) for block in changes.blocks})

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        new = await super().carve(pool, blocks, cursor)
        for block in blocks:
            if self._held.get((pool, block.first)) is None:
                self._held.pop((pool, block.first), None)  # it was looked for, and was not there
        return new

    async def _keep(self, statement: Statement, keys: Sequence[BlockKey]) -> None:
        """Lock blocks and read them as they were last committed."""
        self._held.update(dict.fromkeys(keys))
        for row in await self._session.fetch(statement, *arrays.columns_of(key_values(keys))):
            block = block_of(row)
            self._held[block.pool, block.first] = block


def _copy_of(block: Block) -> Block:
    """A block that its reader may change without changing what is held here."""
    return replace(block, free_since=array("q", block.free_since))
