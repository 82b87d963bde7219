"""The addresses of holds, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, case, func, literal_column, not_, null, or_, select, text, update

from ipamd.backends.interface import HoldPosition, HoldSearch, LockedRows
from ipamd.backends.sql import statements
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.allocation import HOLD_OWNER
from ipamd.models.hold import HoldUse

Search = HoldSearch | HoldPosition

_OF_HOLD: Final = (ALLOCATION.c.digest == bindparam("of_digest"), ALLOCATION.c.until.is_(None))
_AT: Final[Select[Any]] = select(*ALLOCATION_COLUMNS).where(
    *_OF_HOLD, ALLOCATION.c.position == bindparam("at_position")
)
_READY: Final[Select[Any]] = (
    select(*ALLOCATION_COLUMNS)
    .where(*_OF_HOLD, ALLOCATION.c.free_since <= bindparam("free_before"))
    .order_by(ALLOCATION.c.position)
    .limit(bindparam("most"))
)
_AT_NAMES: Final = ("of_digest", "at_position")
_READY_NAMES: Final = ("of_digest", "free_before", "most")

AT: Final = Statement(_AT, _AT_NAMES)
READY: Final = Statement(_READY, _READY_NAMES)
AT_LOCKED: Final = Statement(_AT.with_for_update(), _AT_NAMES)
READY_LOCKED: Final = Statement(_READY.with_for_update(), _READY_NAMES)
AT_UNLOCKED: Final = Statement(_AT.with_for_update(skip_locked=True), _AT_NAMES)
READY_UNLOCKED: Final = Statement(_READY.with_for_update(skip_locked=True), _READY_NAMES)


_LIVE: Final = text("until IS NULL AND hold IS NOT NULL AND slot = 0")
_IS_LEFT: Final = ALLOCATION.c.owner == literal_column(f"'{HOLD_OWNER}:'").op("||")(ALLOCATION.c.hold)

LEAVE_TO_WORKLOADS: Final = Statement(
    update(ALLOCATION)
    .where(
        _LIVE, ALLOCATION.c.hold == bindparam("of_hold"), or_(ALLOCATION.c.owner.is_(None), not_(_IS_LEFT))
    )
    .values(hold=null()),
    ("of_hold",),
)
"""Have what workloads took of a hold go back to no hold of this name."""


@lru_cache
def _uses(length: int | None) -> Statement:
    keys, names = statements.numbered(length or 0)
    these = [] if length is None else [ALLOCATION.c.hold.in_(keys)]
    return Statement(
        select(ALLOCATION.c.hold, func.count(), func.sum(case((_IS_LEFT, 1), else_=0)))
        .where(_LIVE, *these)
        .group_by(ALLOCATION.c.hold),
        names,
    )


def asked_by(search: Search) -> Values:
    """The parameters of a search, in the order of its statement."""
    if isinstance(search, HoldPosition):
        return search.digest, search.position
    return search.digest, search.free_before, search.limit


async def read(
    session: DatabaseSession,
    searches: Sequence[Search],
    at: Statement = AT,
    ready: Statement = READY,
) -> list[LockedRows]:
    """See `Transaction.of_holds`: each search by itself, for most batches have one."""
    found = []
    for search in searches:
        statement = at if isinstance(search, HoldPosition) else ready
        rows = await session.fetch(statement, *asked_by(search))
        found.append(LockedRows(list(map(allocation_of, rows))))
    return found


async def read_unlocked(session: DatabaseSession, searches: Sequence[Search]) -> list[LockedRows]:
    """What nobody else has locked. Where that is less than was asked for, others may have more."""
    found = await read(session, searches, AT_UNLOCKED, READY_UNLOCKED)
    answers = []
    for search, locked in zip(searches, found, strict=True):
        most = search.limit if isinstance(search, HoldSearch) else 1
        if len(locked.rows) < most:
            [every] = await read(session, [search])
            locked = replace(locked, passed_over=len(every.rows) > len(locked.rows))
        answers.append(locked)
    return answers


async def uses(session: DatabaseSession, holds: Sequence[str] | None) -> Mapping[str, HoldUse]:
    """See `Ledger.hold_uses`."""
    found: dict[str, HoldUse] = {}
    pieces: Sequence[list[str]] = [[]] if holds is None else statements.in_pieces(holds) if holds else []
    for keys in pieces:
        for hold, count, left in await session.fetch(_uses(len(keys) if keys else None), *keys):
            found[hold] = HoldUse(int(left), int(count) - int(left))
    return found
