"""Dropping history, in SQL: by walking over the rows in the order in which they were begun.

An index by when a row ended would find the old ones at once, and cost every DEL an entry in it; the primary
key is there anyway. What lives long or has ended lately is read once in each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, select, update

from ipamd.backends.sql import statements
from ipamd.backends.sql.schema import ALLOCATION, HISTORY
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.instant import Instant

LOOKED_AT: Final = 1000
DROPPED_AT_ONCE: Final = 32
"""Few, for each row lies on a page of its own in most of the indexes, and others wait for the writer."""

ROWS_AFTER: Final = Statement(
    select(ALLOCATION.c.id, ALLOCATION.c.since, ALLOCATION.c.until)
    .where(ALLOCATION.c.id > bindparam("after"))
    .order_by(ALLOCATION.c.id)
    .limit(bindparam("most")),
    ("after", "most"),
)

NOTE_FORGOTTEN: Final = Statement(
    update(HISTORY).where(HISTORY.c.forgotten < bindparam("moment")).values(forgotten=bindparam("moment")),
    ("moment",),
)


@lru_cache
def drop_rows(length: int) -> Statement:
    """Drop rows by their ids, if they have ended by then."""
    keys, names = statements.numbered(length)
    return Statement(
        delete(ALLOCATION).where(ALLOCATION.c.id.in_(keys), ALLOCATION.c.until <= bindparam("moment")),
        (*names, "moment"),
    )


class Piece(NamedTuple):
    """Rows to drop, and the id up to which was looked; None if nothing beyond is old."""

    old: Sequence[int]
    reached: int | None


async def next_piece(session: DatabaseSession, before: Instant, after: int) -> Piece:
    """What to drop next of what ended until an instant."""
    rows = await session.fetch(ROWS_AFTER, after, LOOKED_AT)
    old = [number for number, _, until in rows if until is not None and until <= before]
    if len(old) > DROPPED_AT_ONCE:
        return Piece(old[:DROPPED_AT_ONCE], old[DROPPED_AT_ONCE - 1])
    # Rows are begun in the order of their ids, but for what clocks of replicas differ.
    over = len(rows) < LOOKED_AT or all(since > before for _, since, _ in rows)
    return Piece(old, None if over else rows[-1][0])


async def drop(session: DatabaseSession, piece: Piece, before: Instant) -> None:
    """Drop a piece, and note until when something may be missing from now on."""
    await session.run(NOTE_FORGOTTEN, before)
    for keys in statements.in_pieces(piece.old):
        await session.run(drop_rows(len(keys)), *keys, before)
