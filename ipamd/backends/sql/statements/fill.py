"""How full pools are, and which of their blocks changed that."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, null, select, text

from ipamd.backends.sql.schema import BLOCK
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.batch import given_rows
from ipamd.backends.sql.statements.block import BLOCK_COLUMNS


@lru_cache
def fill_of_pools(length: int) -> Statement:
    """Sums over the blocks of some pools, each from an index alone; null for a pool without blocks.

    SQLite adds up two columns in one go more slowly than each by itself.
    """
    return _fill(length, func.sum(BLOCK.c.allocated))


@lru_cache
def rest_of_fill(length: int) -> Statement:
    """The same, but for what is allocated: none of it reads more than an entry, or what is leased."""
    return _fill(length)


def _fill(length: int, *sums: ColumnElement[Any]) -> Statement:
    asked, names = given_rows(length, pool=BLOCK.c.pool.type)
    of_pool = BLOCK.c.pool == asked.c.pool
    ready = BLOCK.c.next_free_since.is_not(None)
    facts = (
        select(func.max(BLOCK.c.last_freed)).where(of_pool),
        select(func.min(BLOCK.c.next_free_since)).where(of_pool, ready),
        select(func.sum(BLOCK.c.leased)).where(of_pool, text("leased > 0")),
        *(select(added_up).where(of_pool) for added_up in sums),
    )
    found = [fact.scalar_subquery() for fact in facts]
    return Statement(select(asked.c.pool, *found, *([] if sums else [null()])), names)


ALLOCATED: Final = Statement(select(BLOCK.c.pool, func.sum(BLOCK.c.allocated)).group_by(BLOCK.c.pool), ())
"""What is allocated in each pool that has blocks, from an index alone."""


@lru_cache
def blocks_freed_after(length: int) -> Statement:
    """The blocks of some pools, each named with a moment, that were freed after it."""
    asked, names = given_rows(length, pool=BLOCK.c.pool.type, moment=BLOCK.c.last_freed.type)
    return Statement(
        select(*BLOCK_COLUMNS).select_from(
            asked.join(BLOCK, and_(BLOCK.c.pool == asked.c.pool, BLOCK.c.last_freed > asked.c.moment))
        ),
        names,
    )


@lru_cache
def blocks_in(length: int) -> Statement:
    """The blocks in some stretches, each of a pool."""
    kind = BLOCK.c.first.type
    asked, names = given_rows(length, pool=BLOCK.c.pool.type, begin=kind, finish=kind)
    within = BLOCK.c.first.between(asked.c.begin, asked.c.finish)
    return Statement(
        select(*BLOCK_COLUMNS).select_from(asked.join(BLOCK, and_(BLOCK.c.pool == asked.c.pool, within))),
        names,
    )


@lru_cache
def allocated_in(length: int) -> Statement:
    """The number of each stretch of a pool, and how much is allocated in it.

    The bounds are one small table, so that each stretch is one search in the index of the pool's blocks.
    """
    asked, names = given_rows(length, begin=BLOCK.c.first.type, finish=BLOCK.c.first.type)
    there = (BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first.between(asked.c.begin, asked.c.finish))
    allocated = select(func.sum(BLOCK.c.allocated)).where(*there).scalar_subquery()
    return Statement(
        select(asked.c.number, func.coalesce(allocated, literal_column("0"))), ("of_pool", *names)
    )
