"""Statements over allocations that end, or are told of again, and over history."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    TableValuedAlias,
    Text,
    delete,
    func,
    literal_column,
    null,
    select,
    update,
)

from ipamd.backends.sql.postgres.arrays.given import Kinds, rows_given
from ipamd.backends.sql.schema import ALLOCATION, HISTORY
from ipamd.backends.sql.session import Statement


def _is_live(given: TableValuedAlias) -> ColumnElement[bool]:
    """The live row with a given id, found by its id.

    PostgreSQL plans while the table is empty, takes a condition that few rows meet for one that none will
    ever meet, and reads the whole of an index that has it. It knows no such index for a sum.
    """
    return (ALLOCATION.c.id == given.c.row) & (ALLOCATION.c.until + literal_column("0")).is_(None)


def _end() -> Statement:
    given, names = rows_given(
        {"ended": BigInteger(), "how": Text(), "by": Text(), "why": Text(), "row": BigInteger()}
    )
    return Statement(
        update(ALLOCATION)
        .where(_is_live(given))
        .values(
            until=given.c.ended,
            ending=given.c.how,
            ended_by=given.c.by,
            reason=given.c.why,
            seat=null(),
            slot=literal_column("0"),
        ),
        names,
    )


def _drop() -> Statement:
    given, names = rows_given({"row": BigInteger()})
    return Statement(delete(ALLOCATION).where(_is_live(given)), names)


def _repeat() -> Statement:
    kinds: Kinds = {name: BigInteger() for name in ("count", "in_boot", "at_uptime")}
    kinds |= {"lives_in": Text(), **{name: BigInteger() for name in ("device", "inode", "row")}}
    given, names = rows_given(kinds)
    changed = {
        "generation": given.c["count"],
        "repeated_boot": given.c.in_boot,
        "repeated_uptime": given.c.at_uptime,
        "boot": given.c.lives_in,
        "netns_device": given.c.device,
        "netns_inode": given.c.inode,
    }
    return Statement(update(ALLOCATION).where(_is_live(given)).values(changed), names)


END_ALLOCATIONS: Final = _end()
DROP_ALLOCATIONS: Final = _drop()
REPEAT_ALLOCATIONS: Final = _repeat()


# Two replicas that dropped the same rows in different orders would wait for each other: so one at a time.
LOCK_HISTORY: Final = Statement(select(HISTORY.c.id).with_for_update(skip_locked=True), ())
# Marks behind all that has begun to write: what begins to write later has a higher number.
MARK: Final = Statement(select(func.pg_current_xact_id().cast(Text)), ())
OLDEST_WRITER: Final = Statement(select(func.pg_snapshot_xmin(func.pg_current_snapshot()).cast(Text)), ())
