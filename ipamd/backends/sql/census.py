"""Censuses of nodes in SQL, and the allocations that a node compares with what lives on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Select, bindparam, select

from ipamd.backends.sql import statements, terms
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, CENSUS, RECEIPT_KEY, TermKind
from ipamd.backends.sql.schema.term import WITH_ROWS
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import Allocation
from ipamd.models.census import Census, decoded, encoded
from ipamd.models.node import NodeKey

COLUMNS: Final = (CENSUS.c.census, CENSUS.c.told, CENSUS.c.told_in)
ALL: Final = Statement(select(*COLUMNS).order_by(CENSUS.c.cluster, CENSUS.c.node), ())
OF_NODE: Final = Statement(
    select(*COLUMNS).where(
        CENSUS.c.cluster == bindparam("of_cluster"), CENSUS.c.node == bindparam("of_node")
    ),
    ("of_cluster", "of_node"),
)
SAVE: Final = statements.replaced(CENSUS)
KEY: Final = Statement(select(RECEIPT_KEY.c.key), ())


def _held_on(rows: Select[Any]) -> Statement:
    """The live allocations of a node's containers with an id above a given one, by id."""
    return Statement(
        rows.where(
            ALLOCATION.c.cluster == bindparam("of_cluster"),
            ALLOCATION.c.node == bindparam("of_node"),
            ALLOCATION.c.id > bindparam("after", type_=BigInteger()),
            ALLOCATION.c.until.is_(None),
        )
        .order_by(ALLOCATION.c.id)
        .limit(bindparam("most")),
        ("of_cluster", "of_node", "after", "most"),
    )


_ROWS: Final = select(*ALLOCATION_COLUMNS)
_TERMS: Final = terms.of_values(TermKind.LIVE_OF_NODE, ":of_node")
HELD_ON: Final = _held_on(_ROWS)
DEFERRED: Final = (
    _held_on(_ROWS.select_from(WITH_ROWS).where(*_TERMS)),
    _held_on(_ROWS.where(terms.WAITING)),
)
"""On SQLite: what has terms, and what waits for them."""


async def censuses(session: DatabaseSession, node: NodeKey | None) -> list[Census]:
    """The censuses of all nodes, or of one."""
    rows = await (session.fetch(ALL) if node is None else session.fetch(OF_NODE, *node))
    return [decoded(*row) for row in rows]


async def write(session: DatabaseSession, changed: Sequence[Census]) -> None:
    """Write censuses, in the order of nodes: so do all who write several."""
    for census in sorted(changed, key=lambda each: each.node):
        await session.run(SAVE, *census.node, encoded(census), census.told, census.told_in)


async def receipt_key(session: DatabaseSession) -> bytes:
    """See `Ledger.receipt_key`."""
    [(key,)] = await session.fetch(KEY)
    return bytes(key)


async def held_on(
    session: DatabaseSession, node: NodeKey, after: int, limit: int, *, deferred: bool
) -> list[Allocation]:
    """The live allocations of a node's containers with ids above `after`, by id."""
    found = []
    for statement in DEFERRED if deferred else (HELD_ON,):
        found += [allocation_of(row) for row in await session.fetch(statement, *node, after, limit)]
    return sorted(found, key=lambda row: row.stored_id)[:limit]
