"""A unit of work on allocations, in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ipamd.backends.interface import (
    BlockId,
    BlockOwner,
    BlockRecord,
    BlockSearch,
    BlocksWithFree,
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    RememberedRelease,
    Tallied,
)
from ipamd.backends.sql import census, former, holds, leasing, owning, prefixes, statements, tallies
from ipamd.backends.sql.announcing import announce
from ipamd.backends.sql.record import record_of
from ipamd.backends.sql.rows import (
    allocation_of,
    allocation_values,
    block_of,
    block_values,
    cursor_bytes,
    number_bytes,
    release_of,
    release_values,
    repeat_values,
)
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool
from ipamd.models.quota import Tally


class SqlTransaction:
    """See `Transaction`. For a database with one writer, where reading is locking."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session

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

    async def leases(self, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
        return await leasing.leases_by_node(self._session, nodes)

    async def census(self, node: NodeKey) -> Census | None:
        found = await census.censuses(self._session, node)
        return found[0] if found else None

    async def pinned(self, seats: Sequence[SeatKey]) -> Sequence[Allocation]:
        return await leasing.pinned(self._session, seats)

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        return await owning.of_addresses(self._session, addresses)

    async def former(self, workloads: Sequence[Digest]) -> Mapping[Digest, Sequence[FormerAddress]]:
        return await former.read(self._session, workloads)

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
            found.update((block.first, block) for block in map(block_of, rows))
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
        blocks = (block_of(row) for row in rows)
        return [block for block in blocks if block.first not in search.but_not][: search.limit]

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        return await record_of(self._session, pool, first)

    async def revision(self) -> int:
        [(revision,)] = await self._session.fetch(statements.REVISION)
        return int(revision)

    async def write(self, changes: Changes) -> None:
        if changes.decided_at not in (None, await self.revision()):
            raise CatalogueMoved
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
            begun = [allocation_values(allocation) for allocation in changes.begun]
            await self._session.run_many(statements.BEGIN_ALLOCATION, begun)
            await prefixes.refuse_overlaps(self._session, changes.begun)
            await prefixes.shut_out_older_code(self._session, changes.begun)
        await write_blocks(self._session, changes.blocks)
        await self._remember(statements.REMEMBER_RELEASE, [one for one in changes.remembered if not one.undo])
        await self._remember(statements.REMEMBER_UNDO, [one for one in changes.remembered if one.undo])
        await former.write(self._session, changes.former)
        await leasing.write(self._session, changes)
        await census.write(self._session, changes.censuses)
        await tallies.change(self._session, changes.tallies)
        if changes.announced:
            await announce(self._session, changes.announced)

    async def _write_live(self, statement: Statement, rows: list[Values]) -> None:
        if await self._session.run_many(statement, rows) != len(rows):
            raise ConstraintViolated("an allocation that ends or repeats is not live")

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
    if not blocks:
        return
    rows = [block_values(block) for block in blocks]
    if await session.run_many(statements.WRITE_BLOCK, rows) != len(rows):
        raise ConstraintViolated("a block that is written does not exist")
