"""A unit of work on allocations in PostgreSQL: what it shares, whether it waits for locks or not.

READ COMMITTED, so that each statement sees what was committed before it began; what a unit of work relies
on it has locked in an earlier statement. docs/postgresql.md tells what follows from which lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipamd.backends.interface import (
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    Found,
    RememberedRelease,
)
from ipamd.backends.sql import census, former, leasing, owning, prefixes, statements, tallies
from ipamd.backends.sql.allocation_rows import allocation_of, allocation_values, repeat_values
from ipamd.backends.sql.announcing import announce
from ipamd.backends.sql.postgres import arrays
from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.locking import CARVING_KEY
from ipamd.backends.sql.reads import SqlReads
from ipamd.backends.sql.rows import block_values, cursor_bytes, release_of, release_values
from ipamd.backends.sql.session import Statement, Values
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.errors import Unavailable
from ipamd.models.identity import Digest


class PostgresTransaction(SqlReads):
    """See `Transaction`, but for `find` and `lock`."""

    _session: PostgresSession

    def __init__(self, session: PostgresSession) -> None:
        super().__init__(session)
        self._carving = False

    async def _found(self, keys: Mapping[Digest, int]) -> Found:
        """What holders have whose locks were tried, or waited for; nothing for the busy ones."""
        found = arrays.found_rows(await self._session.fetch(arrays.FOUND_OF_DIGESTS, list(keys)))
        busy = frozenset(digest for digest, key in keys.items() if key in found.busy)
        held: dict[Digest, list[Allocation]] = {digest: [] for digest in keys}
        releases: dict[Digest, list[RememberedRelease]] = {digest: [] for digest in keys}
        for allocation in map(allocation_of, found.live):
            held[allocation.digest].append(allocation)
        for release in map(release_of, found.releases):
            releases[release.digest].append(release)
        for digest in busy:
            held[digest], releases[digest] = [], []
        return Found(held, releases, busy)

    async def revision(self) -> int:
        return await fitting_revision(self._session, arrays.REVISION)

    async def write(self, changes: Changes) -> None:
        ended: list[Values] = [
            (one.until, one.ending.value, one.by, one.reason, one.id) for one in changes.ended
        ]
        repeated = [repeat_values(one) for one in changes.repeated]
        await owning.write(self._session, changes.owners)
        await self._write_live(arrays.END_ALLOCATIONS, ended)
        await self._write_live(arrays.DROP_ALLOCATIONS, [(row,) for row in changes.dropped])
        await self._write_live(arrays.REPEAT_ALLOCATIONS, repeated)
        for earlier in changes.set_back:
            await self._session.run(statements.SET_BACK_ALLOCATION, earlier.since, earlier.until, earlier.id)
        await self._write_rows(changes)
        await prefixes.shut_out_older_code(self._session, changes.begun)
        await self._remember(arrays.REMEMBER_RELEASES, latest(changes.remembered, undo=False))
        await self._remember(arrays.REMEMBER_UNDOS, latest(changes.remembered, undo=True))
        await former.write(self._session, changes.former)
        await leasing.write(self._session, changes)
        await census.write(self._session, changes.censuses)
        await tallies.change(self._session, changes.tallies)
        if changes.announced:
            await announce(self._session, changes.announced)

    async def _write_rows(self, changes: Changes) -> None:
        """Begin allocations, write blocks and read the revision, all in one round trip."""
        if not changes.begun and not changes.blocks:
            if changes.decided_at not in (None, await self.revision()):
                raise CatalogueMoved
            return
        begun = [allocation_values(allocation) for allocation in changes.begun]
        blocks = [block_values(block) for block in changes.blocks]
        values = arrays.columns_of(blocks) if blocks else arrays.NO_BLOCKS
        if begun:
            values = (*arrays.columns_of(begun), *values)
        [(*revision, written)] = await self._session.fetch(arrays.WRITTEN[bool(begun)], *values)
        if changes.decided_at not in (None, _fitting(revision)):
            raise CatalogueMoved
        if written != len(blocks):
            raise ConstraintViolated("a block that is written does not exist")

    async def _write_live(self, statement: Statement, rows: list[Values]) -> None:
        if rows and await self._session.run(statement, *arrays.columns_of(rows)) != len(rows):
            raise ConstraintViolated("an allocation that ends or repeats is not live")

    async def _remember(self, statement: Statement, releases: list[RememberedRelease]) -> None:
        if releases:
            rows = [release_values(release) for release in releases]
            await self._session.run(statement, *arrays.columns_of(rows))

    async def pin_catalogue(self) -> int:
        await self._begin_carving()
        return await fitting_revision(self._session, arrays.PINNED_REVISION)

    async def cursor(self, pool: str) -> int:
        await self._begin_carving()
        rows = await self._session.fetch(statements.CURSOR, pool)
        return int.from_bytes(rows[0][0], "big") if rows else 0

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        await self._begin_carving()
        new = 0
        if blocks:
            rows = [block_values(block) for block in blocks]
            new = await self._session.run(arrays.CARVE_BLOCKS, *arrays.columns_of(rows))
        if cursor is not None:
            await self._session.run(statements.MOVE_CURSOR, pool, cursor_bytes(cursor))
        return new

    async def _begin_carving(self) -> None:
        """Who carves waits for who carves, in a statement of its own: the next one sees the other's blocks.

        So a cursor is only ever moved on from where it stands; two that inserted the same blocks in
        different orders would wait for each other.
        """
        if not self._carving:
            await self._session.fetch(arrays.WAIT_FOR_LOCKS, [CARVING_KEY])
            self._carving = True


async def fitting_revision(session: PostgresSession, statement: Statement) -> int:
    """The catalogue's revision; raises Unavailable when a migration has made the schema another's."""
    [row] = await session.fetch(statement)
    return _fitting(row)


def _fitting(row: Sequence[Any]) -> int:
    revision, *version = row
    sentence = misfit(SchemaVersion(*version))
    if sentence is not None:
        raise Unavailable(sentence)
    return int(revision)


async def write_blocks(session: PostgresSession, blocks: Sequence[Block]) -> None:
    """Write back blocks; raises ConstraintViolated when one of them does not exist."""
    if not blocks:
        return
    rows = [block_values(block) for block in blocks]
    if await session.run(arrays.WRITE_BLOCKS, *arrays.columns_of(rows)) != len(rows):
        raise ConstraintViolated("a block that is written does not exist")


def latest(releases: Sequence[RememberedRelease], *, undo: bool) -> list[RememberedRelease]:
    """Of each holder's releases the last, of each undo the one that is kept longest.

    One statement cannot meet the same row twice.
    """
    found: dict[tuple[object, ...], RememberedRelease] = {}
    for one in releases:
        if one.undo is not undo:
            continue
        key = (one.digest, one.order) if undo else (one.digest,)
        if key not in found or (found[key].order, found[key].until) < (one.order, one.until):
            found[key] = one
    return list(found.values())
