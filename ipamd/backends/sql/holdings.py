"""What nodes hold, counted in SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, func, literal_column, select, text

from ipamd.backends.sql import statements, terms
from ipamd.backends.sql.schema import ALLOCATION, BLOCK, SEAT, TERM, TermKind
from ipamd.backends.sql.schema.term import word
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.holding import NodeHolding
from ipamd.models.node import NodeKey

LIVE: Final = "until IS NULL"
WAITING: Final = f"until IS NULL AND {terms.WAITING}"

TAKEN: Final = "seat IS NOT NULL AND node IS NOT NULL AND seat_position = 0"


@lru_cache
def counted(table: Table, length: int, which: str = "true") -> Statement:
    """How many rows of a table some nodes have."""
    keys, names = statements.numbered(length)
    return Statement(
        select(table.c.node, func.count())
        .where(table.c.cluster == bindparam("of_cluster"), table.c.node.in_(keys), text(which))
        .group_by(table.c.node),
        ("of_cluster", *names),
    )


@lru_cache
def live(length: int) -> Statement:
    """How many live allocations some nodes have, each counted from the index up to a bound.

    One search for each node: to group the rows of all would cost PostgreSQL three times as much for each.
    """
    asked, names = statements.given_rows(length, name=ALLOCATION.c.node.type)
    there = ALLOCATION.c.cluster == bindparam("of_cluster"), ALLOCATION.c.node == asked.c.name
    found: Select[Any] = select(literal_column("1")).where(*there, text(LIVE)).limit(bindparam("most"))
    number = select(func.count()).select_from(found.correlate(asked).subquery("found")).correlate(asked)
    return Statement(select(asked.c.name, number.scalar_subquery()), ("of_cluster", "most", *names))


@lru_cache
def with_terms(length: int) -> Statement:
    """The same by terms alone, on SQLite: the last word of each is a cluster."""
    kind = ALLOCATION.c.node.type
    asked, names = statements.given_rows(length, name=kind, before=kind, behind=kind)
    bounds = text("listing_term.term > asked.before"), text("listing_term.term <= asked.behind")
    ours = text(f"listing_term.term LIKE '%.' || {word(':of_cluster')}")
    found: Select[Any] = select(literal_column("1")).select_from(TERM).where(*bounds, ours, terms.NOT_GONE)
    number = select(func.count()).select_from(found.limit(bindparam("most")).subquery("found"))
    return Statement(select(asked.c.name, number.scalar_subquery()), ("of_cluster", "most", *names))


@lru_cache
def blocks_of(length: int) -> Statement:
    """How many blocks of a pool some nodes have."""
    keys, names = statements.numbered(length)
    return Statement(
        select(BLOCK.c.node, func.count())
        .where(
            BLOCK.c.pool == bindparam("of_pool"),
            BLOCK.c.cluster == bindparam("of_cluster"),
            BLOCK.c.node.in_(keys),
        )
        .group_by(BLOCK.c.node),
        ("of_pool", "of_cluster", *names),
    )


async def holdings(
    session: DatabaseSession, nodes: Sequence[NodeKey], pools: Sequence[str], most: int, *, deferred: bool
) -> Mapping[NodeKey, NodeHolding]:
    """See `Ledger.holdings`."""
    found: dict[NodeKey, NodeHolding] = {}
    for cluster in dict.fromkeys(node.cluster for node in nodes):
        for names in statements.in_pieces([node.name for node in nodes if node.cluster == cluster]):
            found |= await _of_some(session, cluster, names, pools, most, deferred=deferred)
    return found


async def _of_some(
    session: DatabaseSession,
    cluster: str,
    names: Sequence[str],
    pools: Sequence[str],
    most: int,
    *,
    deferred: bool,
) -> dict[NodeKey, NodeHolding]:
    length, different = len(names), list(dict.fromkeys(names))
    if deferred:
        asked = chain.from_iterable((name, *TermKind.LIVE_OF_NODE.bounds(name)) for name in different)
        addresses = await _counts(session, with_terms(len(different)), cluster, most + 1, *asked)
    else:
        addresses = await _counts(session, live(len(different)), cluster, most + 1, *different)
    if deferred:
        addresses += await _counts(session, counted(ALLOCATION, length, WAITING), cluster, *names)
    seats = await _counts(session, counted(SEAT, length), cluster, *names)
    seats -= await _counts(session, counted(ALLOCATION, length, TAKEN), cluster, *names)
    blocks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for pool in pools:
        for name, count in await session.fetch(blocks_of(length), pool, cluster, *names):
            blocks[name][pool] = count
    return {
        NodeKey(cluster, name): NodeHolding.of(addresses[name], seats[name], blocks.get(name, {}), most)
        for name in sorted({*addresses, *seats, *blocks})
        if addresses[name] or seats[name] or name in blocks
    }


async def _counts(session: DatabaseSession, statement: Statement, *values: str | int) -> Counter[str]:
    return Counter({name: int(count) for name, count in await session.fetch(statement, *values)})
