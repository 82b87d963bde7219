"""Blocks: searched, read, written, and carved out of their pools."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, TextClause, bindparam, func, literal_column, not_, select, text, update

from ipamd.backends.interface import BlockOwner
from ipamd.backends.sql.schema import BLOCK, CARVING
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.batch import numbered
from ipamd.backends.sql.statements.writing import replaced, upsert_into

BLOCK_COLUMNS: Final = (
    BLOCK.c.pool,
    BLOCK.c.first,
    BLOCK.c.cluster,
    BLOCK.c.node,
    BLOCK.c.free_since,
    BLOCK.c.allocated,
    BLOCK.c.last_freed,
    BLOCK.c.next_free_since,
    BLOCK.c.leased,
)


@lru_cache
def write_block(columns: tuple[int, ...] = tuple(range(2, len(BLOCK_COLUMNS)))) -> Statement:
    """Write some columns of a block, by their places among all. Their values come behind pool and number."""
    names = [BLOCK_COLUMNS[place].name for place in columns]
    return Statement(
        update(BLOCK)
        .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first == bindparam("number"))
        .values({name: bindparam(f"new_{name}") for name in names}),
        ("of_pool", "number", *(f"new_{name}" for name in names)),
    )


def _carve_block() -> Statement:
    upsert, names = upsert_into(BLOCK)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["pool", "first"]), names)


CARVE_BLOCK: Final = _carve_block()


@lru_cache
def blocks_by_number(length: int) -> Statement:
    """Blocks of a pool by their numbers, in that order."""
    keys, names = numbered(length)
    return Statement(
        select(*BLOCK_COLUMNS)
        .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first.in_(keys))
        .order_by(BLOCK.c.first),
        ("of_pool", *names),
    )


def owned_by(owner: BlockOwner, of_node: ColumnElement[bool]) -> Sequence[ColumnElement[bool] | TextClause]:
    """The conditions on a block's owner; `of_node` says that it is the node that looks."""
    match owner:
        case BlockOwner.ANY:
            return ()
        case BlockOwner.OWN:
            return (of_node,)
        case BlockOwner.NONE:
            return BLOCK.c.cluster.is_(None), BLOCK.c.node.is_(None)
        case BlockOwner.OTHER_WHILE_EMPTY:
            # As text, for a predicate with a parameter does not match that of the partial index.
            return text("allocated = 0"), BLOCK.c.node.is_not(None), not_(of_node)


def _blocks_with_free(owner: BlockOwner, *, for_prefix: bool) -> Statement:
    of_node = (BLOCK.c.cluster == bindparam("of_cluster")) & (BLOCK.c.node == bindparam("of_node"))
    names: tuple[str, ...] = ("of_pool", "free_before", "most")
    if owner in (BlockOwner.OWN, BlockOwner.OTHER_WHILE_EMPTY):
        names = (*names, "of_cluster", "of_node")
    query = select(*BLOCK_COLUMNS).where(
        BLOCK.c.pool == bindparam("of_pool"),
        BLOCK.c.next_free_since <= bindparam("free_before"),
        *owned_by(owner, of_node),
    )
    turn: ColumnElement[Any] = BLOCK.c.first
    if for_prefix:
        names = (*names, "most_allocated")
        query, turn = query.where(BLOCK.c.allocated <= bindparam("most_allocated")), BLOCK.c.first.desc()
    return Statement(query.order_by(BLOCK.c.next_free_since, turn).limit(bindparam("most")), names)


BLOCKS_WITH_FREE: Final = {
    (owner, for_prefix): _blocks_with_free(owner, for_prefix=for_prefix)
    for owner in BlockOwner
    for for_prefix in (False, True)
}
"""Searches for room, and those for a prefix."""

BLOCKS_BETWEEN: Final = Statement(
    select(*BLOCK_COLUMNS)
    .where(
        BLOCK.c.pool == bindparam("of_pool"),
        BLOCK.c.first <= bindparam("last"),
        # The block before the first address may hold it too.
        BLOCK.c.first
        >= func.coalesce(
            select(BLOCK.c.first)
            .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first <= bindparam("from"))
            .order_by(BLOCK.c.first.desc())
            .limit(literal_column("1"))  # not max(), which PostgreSQL has for no bytes
            .correlate(None)
            .scalar_subquery(),
            bindparam("from"),
        ),
    )
    .order_by(BLOCK.c.first),
    ("of_pool", "from", "last"),
)

BLOCKS_OF_NODE: Final = Statement(
    select(*BLOCK_COLUMNS)
    .where(
        BLOCK.c.pool == bindparam("of_pool"),
        BLOCK.c.cluster == bindparam("of_cluster"),
        BLOCK.c.node == bindparam("of_node"),
    )
    .order_by(BLOCK.c.first),
    ("of_pool", "of_cluster", "of_node"),
)

BLOCKS_FREED_AFTER: Final = Statement(
    select(*BLOCK_COLUMNS).where(
        BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.last_freed > bindparam("moment")
    ),
    ("of_pool", "moment"),
)


CURSOR: Final = Statement(
    select(CARVING.c.reached).where(CARVING.c.pool == bindparam("of_pool")), ("of_pool",)
)
MOVE_CURSOR: Final = replaced(CARVING)
LOWER_CURSOR: Final = Statement(
    update(CARVING)
    .where(CARVING.c.pool == bindparam("of_pool"), CARVING.c.reached > bindparam("back_to"))
    .values(reached=bindparam("back_to")),
    ("of_pool", "back_to"),
)
