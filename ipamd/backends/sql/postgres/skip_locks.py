"""The unit of work of a batch, which never waits for a lock: what others hold it leaves out, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from ipamd.backends.interface import (
    BlockId,
    BlockSearch,
    BlocksWithFree,
    Found,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.backends.sql import holds, tallies
from ipamd.backends.sql.postgres import arrays
from ipamd.backends.sql.postgres.locking import key_of_counting, keys_of_holders
from ipamd.backends.sql.postgres.searching import (
    BlockKey,
    SearchKind,
    by_kind,
    key_values,
    longest_free_first,
    numbered_keys,
    search_values,
)
from ipamd.backends.sql.postgres.transaction import PostgresTransaction
from ipamd.backends.sql.rows import block_of
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.quota import Tally


class SkippingTransaction(PostgresTransaction):
    """See `Transaction`."""

    async def find(self, digests: Sequence[Digest]) -> Found:
        keys = keys_of_holders(digests)
        if not keys:
            return Found({}, {})
        # Said by itself, so that what is asked next sees what the last holder of a lock committed.
        await self._session.say(arrays.try_locks(keys.values()))
        return await self._found(keys)

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        busy = await self._being_counted(counting)
        return Tallied(await tallies.read(self._session, wanted), busy)

    async def _being_counted(self, quotas: Sequence[str]) -> frozenset[str]:
        """Take quotas that are counting; those that a change counts just now.

        In a statement of its own, so that the next one sees what the last holder of a lock committed.
        """
        if not quotas:
            return frozenset()
        keys = {quota: key_of_counting(quota) for quota in quotas}
        tried = await self._session.fetch(arrays.TRY_SHARED_LOCKS, list(keys.values()))
        locked = {key for key, got in tried if got}
        return frozenset(quota for quota, key in keys.items() if key not in locked)

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        return await holds.read_unlocked(self._session, searches)

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        answers = await self._numbered(searches)
        for kind, asked in by_kind(searches).items():
            answers |= await self._with_free(kind, asked)
        return [answers[place] for place in range(len(searches))]

    async def _numbered(self, searches: Sequence[BlockSearch]) -> dict[int, Locked]:
        wanted = numbered_keys(searches)
        if not wanted:
            return {}
        values = arrays.columns_of(key_values(wanted))
        rows = await self._session.fetch(arrays.LOCK_FREE_BLOCKS, *values)
        locked = {(block.pool, block.first): block for block in map(block_of, rows)}
        elsewhere = await self._existing(wanted - locked.keys())
        answers = {}
        for place, search in enumerate(searches):
            if isinstance(search, BlockId):
                key = search.pool, search.first
                answers[place] = Locked([locked[key]] if key in locked else [], key in elsewhere)
        return answers

    async def _existing(self, missing: set[BlockKey]) -> set[BlockKey]:
        """The blocks that were not missed for want of existing."""
        if not missing:
            return set()
        rows = await self._session.fetch(arrays.EXISTING_BLOCKS, *arrays.columns_of(key_values(missing)))
        return {(pool, int.from_bytes(first, "big")) for pool, first in rows}

    async def _with_free(
        self, kind: SearchKind, asked: list[tuple[int, BlocksWithFree]]
    ) -> dict[int, Locked]:
        # What the caller has already is left out here: at most that many more are read.
        values = [search_values(search, search.limit + len(search.but_not)) for _, search in asked]
        found: list[list[Block]] = [[] for _ in asked]
        for row in await self._session.fetch(arrays.LOCK_WITH_FREE[kind], *arrays.columns_of(values)):
            number, *columns = row
            found[number - 1].append(block_of(columns))
        answers = {}
        short: dict[int, tuple[BlocksWithFree, int]] = {}
        for (place, search), locked in zip(asked, found, strict=True):
            ordered = longest_free_first(locked, search)
            blocks = [block for block in ordered if block.first not in search.but_not]
            answers[place] = Locked(blocks[: search.limit])
            if len(blocks) < search.limit:
                short[place] = search, len(locked)
        for place in await self._passed_over(kind, short):
            answers[place] = Locked(answers[place].blocks, passed_over=True)
        return answers

    async def _passed_over(self, kind: SearchKind, short: dict[int, tuple[BlocksWithFree, int]]) -> list[int]:
        """The places of those searches that would find more blocks now.

        Others hold them, or have given them room since the search began: in neither case is there nothing.
        """
        if not short:
            return []
        places = list(short)
        values = [search_values(search, locked) for search, locked in short.values()]
        rows = await self._session.fetch(arrays.MORE_WITH_FREE[kind], *arrays.columns_of(values))
        return [places[number - 1] for (number,) in rows]
