"""A unit of work on allocations, in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from ipamd.backends.interface import (
    BlockId,
    BlockOwner,
    BlockSearch,
    BlocksWithFree,
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    Found,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    RememberedRelease,
    Tallied,
)
from ipamd.backends.sql import census, former, holds, leasing, owning, prefixes, statements, tallies
from ipamd.backends.sql.allocation_rows import (
    allocation_of,
    allocation_values,
    has_nothing_rare,
    repeat_values,
)
from ipamd.backends.sql.announcing import announce
from ipamd.backends.sql.reads import SqlReads
from ipamd.backends.sql.rows import (
    Row,
    block_of,
    block_values,
    cursor_bytes,
    number_bytes,
    release_of,
    release_values,
)
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.quota import Tally


class SqlTransaction(SqlReads):
    """See `Transaction`. For a database with one writer, where reading is locking."""

    def __init__(self, session: DatabaseSession) -> None:
        super().__init__(session)
        self._stored_blocks: dict[tuple[str, int], Row] = {}

    async def find(self, digests: Sequence[Digest]) -> Found:
        held: dict[Digest, list[Allocation]] = {digest: [] for digest in digests}
        releases: dict[Digest, list[RememberedRelease]] = {digest: [] for digest in digests}
        for keys in statements.in_pieces(list(held)):
            for row in await self._session.fetch(statements.live_by_digest(len(keys)), *keys):
                allocation = allocation_of(row)
                held[allocation.digest].append(allocation)
            for row in await self._session.fetch(statements.releases_by_digest(len(keys)), *keys):
                release = release_of(row)
                releases[release.digest].append(release)
        return Found(held, releases)

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        return Tallied(await tallies.read(self._session, wanted))

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        return await holds.read(self._session, searches)

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        numbers: dict[str, set[int]] = defaultdict(set)
        for search in searches:
            if isinstance(search, BlockId):
                numbers[search.pool].add(search.first)
        numbered = {pool: await self._numbered(pool, wanted) for pool, wanted in numbers.items()}
        locked: list[Locked] = []
        for search in searches:
            if isinstance(search, BlockId):
                block = numbered[search.pool].get(search.first)
                locked.append(Locked([] if block is None else [block]))
            else:
                locked.append(Locked(await self._with_free(search)))
        return locked

    async def _numbered(self, pool: str, numbers: set[int]) -> dict[int, Block]:
        found: dict[int, Block] = {}
        for keys in statements.in_pieces([number_bytes(number) for number in sorted(numbers)]):
            rows = await self._session.fetch(statements.blocks_by_number(len(keys)), pool, *keys)
            found.update((block.first, block) for block in map(self._block_of, rows))
        return found

    async def _with_free(self, search: BlocksWithFree) -> list[Block]:
        # What the caller has already is left out here: at most that many more are read.
        most = search.limit + len(search.but_not)
        is_for_prefix = search.most_allocated is not None
        parameters: Values = (search.pool, search.free_before, most)
        if search.owner in (BlockOwner.OWN, BlockOwner.OTHER_WHILE_EMPTY):
            if search.node is None:
                raise ValueError(f"a search for {search.owner.value} needs the node that looks")
            parameters = (*parameters, search.node.cluster, search.node.name)
        if is_for_prefix:
            parameters = (*parameters, search.most_allocated)
        statement = statements.BLOCKS_WITH_FREE[search.owner, is_for_prefix]
        rows = await self._session.fetch(statement, *parameters)
        blocks = map(self._block_of, rows)
        return [block for block in blocks if block.first not in search.but_not][: search.limit]

    def _block_of(self, row: Row) -> Block:
        block = block_of(row)
        self._stored_blocks[block.pool, block.first] = row
        return block

    async def revision(self) -> int:
        [(revision,)] = await self._session.fetch(statements.REVISION)
        return int(revision)

    async def write(self, changes: Changes) -> None:
        if changes.decided_at not in (None, await self.revision()):
            raise CatalogueMoved
        if changes.owners:
            await owning.write(self._session, changes.owners)
        if changes.ended:
            await self._write_live(
                statements.END_ALLOCATION,
                [
                    (ended.until, ended.ending.value, ended.by, ended.reason, ended.id)
                    for ended in changes.ended
                ],
            )
        if changes.dropped:
            await self._write_live(statements.DROP_ALLOCATION, [(row,) for row in changes.dropped])
        if changes.repeated:
            await self._write_live(
                statements.REPEAT_ALLOCATION,
                [repeat_values(repeat) for repeat in changes.repeated],
            )
        for earlier in changes.set_back:
            await self._session.run(statements.SET_BACK_ALLOCATION, earlier.since, earlier.until, earlier.id)
        if changes.begun:
            await self._begin(changes.begun)
            begun_prefixes = [row for row in changes.begun if row.prefix_length is not None]
            if begun_prefixes:
                await prefixes.refuse_overlaps(self._session, begun_prefixes)
                await prefixes.shut_out_older_code(self._session, begun_prefixes)
        await self._write_blocks(changes.blocks)
        await self._write_what_is_rare(changes)
        if changes.announced:
            await announce(self._session, changes.announced)

    async def _begin(self, begun: Sequence[Allocation]) -> None:
        """Add rows, in their order. The driver takes four times as long for a null as for a number."""
        for is_usual, rows in groupby(map(allocation_values, begun), has_nothing_rare):
            if is_usual:
                usual = [row[: statements.USUAL_COLUMNS] for row in rows]
                await self._session.run_many(statements.BEGIN_USUAL_ALLOCATION, usual)
            else:
                await self._session.run_many(statements.BEGIN_ALLOCATION, list(rows))

    async def _write_what_is_rare(self, changes: Changes) -> None:
        """Write what an ADD has only by a release, a lease, a census, a sticky pool or a quota."""
        if changes.remembered:
            releases = [one for one in changes.remembered if not one.undo]
            await self._remember(statements.REMEMBER_RELEASE, releases)
            await self._remember(statements.REMEMBER_UNDO, [one for one in changes.remembered if one.undo])
        if changes.former:
            await former.write(self._session, changes.former)
        await leasing.write(self._session, changes)
        if changes.censuses:
            await census.write(self._session, changes.censuses)
        if changes.tallies:
            await tallies.change(self._session, changes.tallies)

    async def _write_live(self, statement: Statement, rows: list[Values]) -> None:
        if await self._session.run_many(statement, rows) != len(rows):
            raise ConstraintViolated("an allocation that ends or repeats is not live")

    async def _write_blocks(self, blocks: Sequence[Block]) -> None:
        """Write back what changes of blocks.

        SQLite writes each index of a column that a statement names, though its value stays the same.
        """
        changed: dict[tuple[int, ...], list[Values]] = {}
        for block in blocks:
            values = block_values(block)
            stored = self._stored_blocks.get((block.pool, block.first))
            columns = tuple(
                place for place in range(2, len(values)) if stored is None or values[place] != stored[place]
            )
            row = (*values[:2], *(values[place] for place in columns))
            changed.setdefault(columns, []).append(row)
            self._stored_blocks[block.pool, block.first] = values
        for columns, rows in changed.items():
            if columns:
                await write_rows_of_blocks(self._session, statements.write_block(columns), rows)

    async def _remember(self, statement: Statement, releases: list[RememberedRelease]) -> None:
        if releases:
            await self._session.run_many(statement, [release_values(release) for release in releases])

    async def pin_catalogue(self) -> int:
        return await self.revision()

    async def cursor(self, pool: str) -> int:
        rows = await self._session.fetch(statements.CURSOR, pool)
        return int.from_bytes(rows[0][0], "big") if rows else 0

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        new = 0
        if blocks:
            rows = [block_values(block) for block in blocks]
            new = await self._session.run_many(statements.CARVE_BLOCK, rows)
        if cursor is not None:
            await self._session.run(statements.MOVE_CURSOR, pool, cursor_bytes(cursor))
        return new


async def write_blocks(session: DatabaseSession, blocks: Sequence[Block]) -> None:
    """Write back blocks; raises ConstraintViolated when one of them does not exist."""
    if blocks:
        rows = [block_values(block) for block in blocks]
        await write_rows_of_blocks(session, statements.write_block(), rows)


async def write_rows_of_blocks(
    session: DatabaseSession, statement: Statement, rows: Sequence[Values]
) -> None:
    """The same, with the rows of a statement that writes some columns."""
    if await session.run_many(statement, rows) != len(rows):
        raise ConstraintViolated("a block that is written does not exist")
