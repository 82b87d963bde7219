"""Owners whom workloads name, and their holders, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import and_, bindparam, func, select, text, tuple_

from ipamd.backends.interface import ConstraintViolated, HeldAddress, OwnerChange
from ipamd.backends.sql import statements
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import NEVER_CAME, Allocation
from ipamd.models.instant import Instant
from ipamd.models.query import OwnerQuery

_AWAY: Final = text("until IS NULL AND away_since IS NOT NULL")


AWAY_BY_POOL: Final = Statement(
    select(ALLOCATION.c.pool, func.count()).where(_AWAY).group_by(ALLOCATION.c.pool), ()
)
AWAY_OF_POOL: Final = Statement(
    select(ALLOCATION.c.pool, func.count())
    .where(_AWAY, ALLOCATION.c.pool == bindparam("of_pool"))
    .group_by(ALLOCATION.c.pool),
    ("of_pool",),
)

_OWNED: Final = text("until IS NULL AND owner IS NOT NULL AND cluster IS NOT NULL")
_PLACE: Final = ("namespace", "owner", "cluster", "position")
"""See `OwnerQuery.place`."""


@lru_cache
def owners_page(filters: tuple[str, ...], *, goes_on: bool) -> Statement:
    """Addresses of owners in the order of their names; a page that goes on begins after a row's id."""
    place = tuple_(*(ALLOCATION.c[name] for name in _PLACE))
    query = select(*ALLOCATION_COLUMNS).where(
        _OWNED, *(ALLOCATION.c[name] == bindparam(f"of_{name}") for name in filters)
    )
    names = tuple(f"of_{name}" for name in filters)
    if goes_on:
        there = ALLOCATION.alias("there")
        last = select(*(there.c[name] for name in _PLACE)).where(there.c.id == bindparam("last_row"))
        query, names = query.where(place > last.scalar_subquery()), (*names, "last_row")
    ordered = query.order_by(*(ALLOCATION.c[name] for name in _PLACE)).limit(bindparam("most"))
    return Statement(ordered, (*names, "most"))


@lru_cache
def away_since(length: int) -> Statement:
    """The owners that are away since a moment or longer, each pool with a moment of its own."""
    asked, names = statements.given_rows(length, pool=ALLOCATION.c.pool.type, moment=ALLOCATION.c.since.type)
    long_enough = and_(
        ALLOCATION.c.pool == asked.c.pool,
        ALLOCATION.c.away_since > bindparam("never_came"),
        ALLOCATION.c.away_since <= asked.c.moment,
    )
    return Statement(
        select(*ALLOCATION_COLUMNS)
        .select_from(asked.join(ALLOCATION, long_enough))
        .where(_AWAY)
        .limit(bindparam("most")),
        (*names, "never_came", "most"),
    )


async def owners(
    session: DatabaseSession, query: OwnerQuery, after: int | None, limit: int
) -> list[Allocation]:
    """See `Ledger.owners`."""
    asked = {"namespace": query.namespace, "owner": query.name, "cluster": query.cluster}
    given = {name: value for name, value in asked.items() if value is not None}
    statement = owners_page(tuple(given), goes_on=after is not None)
    rows = await session.fetch(statement, *given.values(), *([] if after is None else [after]), limit)
    return [allocation_of(row) for row in rows]


async def of_addresses(session: DatabaseSession, addresses: Sequence[HeldAddress]) -> list[Allocation]:
    """See `Transaction.of_addresses`."""
    found: list[Allocation] = []
    for space in dict.fromkeys(each.space for each in addresses):
        packed = [each.address.packed for each in addresses if each.space == space]
        for keys in statements.in_pieces(packed):
            rows = await session.fetch(statements.live_by_address(len(keys)), space, *keys)
            found += map(allocation_of, rows)
    return found


async def away(session: DatabaseSession, before: Mapping[str, Instant], limit: int) -> list[Allocation]:
    """See `Ledger.owners_away`."""
    found: list[Allocation] = []
    pools = list(before.items())
    for begin in range(0, len(pools), statements.MOST_STRETCHES):
        piece = statements.padded(pools[begin : begin + statements.MOST_STRETCHES])
        values = [value for pair in piece for value in pair]
        rows = await session.fetch(away_since(len(piece)), *values, NEVER_CAME, limit)
        found += map(allocation_of, rows)
    return list({row.stored_id: row for row in found}.values())[:limit]


async def count_away(session: DatabaseSession, pool: str | None) -> dict[str, int]:
    """See `Ledger.away`."""
    rows = await (session.fetch(AWAY_BY_POOL) if pool is None else session.fetch(AWAY_OF_POOL, pool))
    return {str(name): int(count) for name, count in rows}


async def write(session: DatabaseSession, changes: Sequence[OwnerChange]) -> None:
    """Write what becomes of owners. Raises ConstraintViolated if one is not live."""
    rows = [(one.away_since, one.generation, one.id) for one in sorted(changes, key=lambda one: one.id)]
    if rows and await session.run_many(statements.SAVE_OWNER, rows) != len(rows):
        raise ConstraintViolated("an owner whose holders change is not live")
