"""What the allocations say of one block, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, literal_column, or_, select, text

from ipamd.backends.interface import BlockRecord
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, HISTORY, REMOVED
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool

LIVE_BETWEEN: Final = Statement(
    select(*ALLOCATION_COLUMNS).where(
        ALLOCATION.c.space == bindparam("in_space"),
        ALLOCATION.c.address >= bindparam("first"),
        ALLOCATION.c.address <= bindparam("last"),
        ALLOCATION.c.until.is_(None),
        ALLOCATION.c.slot == literal_column("0"),
    ),
    ("in_space", "first", "last"),
)


def _ended_between() -> Statement:
    """Of each address the allocation that ended last.

    Goes from address to address, so that it reads as much of one that a thousand had as of one that two had.
    """
    there = ALLOCATION.alias("there")

    def lowest(beyond: ColumnElement[bool]) -> ScalarSelect[Any]:
        return (
            select(there.c.address)
            .where(
                there.c.space == bindparam("in_space"),
                beyond,
                there.c.address <= bindparam("last"),
                there.c.until.is_not(None),
            )
            .order_by(there.c.address)
            .limit(literal_column("1"))
            .scalar_subquery()
        )

    had = select(lowest(there.c.address >= bindparam("first")).label("address")).cte("had", recursive=True)
    had = had.union_all(select(lowest(there.c.address > had.c.address)).where(had.c.address.is_not(None)))
    past = ALLOCATION.alias("past")
    latest = (
        select(past.c.id)
        .where(
            past.c.space == bindparam("in_space"),
            past.c.address == had.c.address,
            past.c.until.is_not(None),
            or_(past.c.held_for.is_(None), past.c.owner.is_not(None)),  # a holder gave no address back
            past.c.ending != literal_column(f"'{Ending.TAKEN.value}'"),  # nor did a hold
        )
        .order_by(past.c.since.desc(), past.c.id.desc())
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    return Statement(
        select(*ALLOCATION_COLUMNS).select_from(had.join(ALLOCATION, ALLOCATION.c.id == latest)),
        ("in_space", "first", "last"),
    )


ENDED_BETWEEN: Final = _ended_between()


def _prefixes_between() -> Statement:
    """Of each prefix the allocation that ended last."""
    past = ALLOCATION.alias("past")
    latest = (
        select(func.max(past.c.id))
        .where(
            past.c.space == bindparam("in_space"),
            past.c.address >= bindparam("first"),
            past.c.address <= bindparam("last"),
            past.c.prefix_length.is_not(None),
            past.c.until.is_not(None),
            or_(past.c.held_for.is_(None), past.c.owner.is_not(None)),  # of no holder of an owner's
        )
        .group_by(past.c.address, past.c.prefix_length)
    )
    return Statement(
        select(*ALLOCATION_COLUMNS).where(ALLOCATION.c.id.in_(latest)), ("in_space", "first", "last")
    )


PREFIXES_BETWEEN: Final = _prefixes_between()

FORGOTTEN: Final = Statement(select(HISTORY.c.forgotten), ())
REMOVED_POOL: Final = Statement(
    select(REMOVED.c.revision).where(text("kind = 'pool'"), REMOVED.c.name == bindparam("of_pool")),
    ("of_pool",),
)


async def record_of(session: DatabaseSession, pool: Pool, first: int) -> BlockRecord:
    """See `Transaction.record`."""
    inside = pool.addresses_of(first, first + pool.block_size - 1)
    place = (pool.space, inside.first.packed, inside.last.packed)
    live = [allocation_of(row) for row in await session.fetch(LIVE_BETWEEN, *place)]
    ended = [allocation_of(row) for row in await session.fetch(ENDED_BETWEEN, *place)]
    ended += [allocation_of(row) for row in await session.fetch(PREFIXES_BETWEEN, *place)]
    # After the allocations: what is dropped between the two statements has been noted by then.
    [(forgotten,)] = await session.fetch(FORGOTTEN)
    return BlockRecord(
        live=[row for row in live if row.pool == pool.name],
        ended=_latest(ended, pool, first),
        forgotten=forgotten,
        reused=bool(await session.fetch(REMOVED_POOL, pool.name)),
    )


def _latest(ended: Sequence[Allocation], pool: Pool, block: int) -> dict[int, Instant]:
    """When the last allocation of each number of a block ended, of those whose last one was of a pool."""
    latest: dict[int, Allocation] = {}
    for row in sorted(ended, key=lambda row: (row.since, row.stored_id)):
        latest.update(dict.fromkeys(pool.numbers_in_block(row.addresses, block), row))
    return {value: row.until or 0 for value, row in latest.items() if row.pool == pool.name}
