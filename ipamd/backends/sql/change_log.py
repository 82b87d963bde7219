"""The change log, in SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.schema import CHANGE_LOG
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.change_log import Description, LogEntry, LogKind, LogPage, LogQuery
from ipamd.models.instant import Instant

Columns = ReadOnlyColumnCollection[str, Any]
Filters = Mapping[str, Any]

FORGOTTEN_AT_ONCE: Final = 500

COLUMNS: Final = tuple(column for column in CHANGE_LOG.columns if column.name != "id")

NOTE: Final = Statement(
    insert(CHANGE_LOG).values({column.name: bindparam(f"new_{column.name}") for column in COLUMNS}).inline(),
    tuple(f"new_{column.name}" for column in COLUMNS),
)

FORGET: Final = Statement(
    delete(CHANGE_LOG).where(
        CHANGE_LOG.c.id.in_(
            select(CHANGE_LOG.c.id)
            .where(CHANGE_LOG.c.at <= bindparam("moment", type_=BigInteger()))
            .limit(bindparam("piece"))
        )
    ),
    ("moment", "piece"),
)

Condition = Callable[[Columns, Any], ColumnElement[bool]]

CONDITIONS: Final[Mapping[str, Condition]] = {
    "kind": lambda of, given: of.kind == given,
    "but_not": lambda of, given: of.kind != given,
    "name": lambda of, given: of.name == given,
    "by": lambda of, given: func.substr(of.changed_by, 1, func.length(given)) == given,
    "exactly_by": lambda of, given: of.changed_by == given,
    "after": lambda of, given: of.at >= given,
    "before": lambda of, given: of.at < given,
    "last_id": lambda of, given: of.id < given,
}
NUMBERS: Final = frozenset(("after", "before", "last_id"))

LEADS: Final = ("name", "exactly_by", "kind")
"""The filters that have an index, the narrowest first: one of them leads, all others are compared."""

READ_AT_ONCE: Final = 5_000
"""So many entries are read for one page at most, if few of them match."""

MOST_NAMES: Final = 32
"""If a filter by who did it means more names than these, it is compared entry by entry."""

NEXT_NAME: Final = Statement(
    select(CHANGE_LOG.c.changed_by)
    .where(CHANGE_LOG.c.changed_by > bindparam("last_name"))
    .order_by(CHANGE_LOG.c.changed_by)
    .limit(literal_column("1")),
    ("last_name",),
)


def _condition(name: str, of: Columns) -> ColumnElement[bool]:
    kind = BigInteger() if name in NUMBERS else CHANGE_LOG.c.kind.type
    return CONDITIONS[name](of, bindparam(f"of_{name}", type_=kind))


def _read(*names: str) -> Select[Any]:
    """The latest entries that a leading filter finds, before those of the page before."""
    found = select(CHANGE_LOG).where(*(_condition(name, CHANGE_LOG.c) for name in names))
    return found.order_by(CHANGE_LOG.c.id.desc())


@lru_cache
def _page(leading: tuple[str, ...], compared: tuple[str, ...]) -> Statement:
    """Entries that match, latest first, among those that are read.

    Reading stops where the page is full: what matches comes in the order of the inner query, and to ask for
    it once more would let SQLite read all of them to sort them.
    """
    query = _read(*leading)
    names = (*(f"of_{name}" for name in (*leading, *compared)), "most")
    if not compared:
        return Statement(query.limit(bindparam("most")), names)
    read = query.limit(literal_column(str(READ_AT_ONCE))).subquery("latest")
    met = select(read.c.id).where(*(_condition(name, read.c) for name in compared)).limit(bindparam("most"))
    found = select(CHANGE_LOG).where(CHANGE_LOG.c.id.in_(met)).order_by(CHANGE_LOG.c.id.desc())
    return Statement(found, names)


@lru_cache
def _last_read(leading: tuple[str, ...]) -> Statement:
    """The id of the last entry that is read, if there may be more behind it."""
    read = _read(*leading).with_only_columns(CHANGE_LOG.c.id)
    read = read.limit(literal_column("1")).offset(literal_column(str(READ_AT_ONCE - 1)))
    return Statement(read, tuple(f"of_{name}" for name in leading))


async def page(session: DatabaseSession, query: LogQuery, before: int | None, limit: int) -> LogPage:
    """A page of the log, latest first. `before` is `next` of the page before."""
    given = {
        "name": query.name,
        "by": query.by,
        "kind": query.kind and query.kind.value,
        "but_not": query.but_not and query.but_not.value,
        "after": query.after,
        "before": query.before,
        "last_id": before,
    }
    filters = {name: value for name, value in given.items() if value is not None}
    found: list[LogEntry] = []
    ends = [0]
    for each in await _alternatives(session, filters):
        entries, end = await _entries(session, each, limit + 1)
        found += entries
        ends.append(end)
    end = max(ends)
    latest = sorted((entry for entry in found if entry.stored_id >= end), key=lambda entry: -entry.stored_id)
    if len(latest) > limit:
        return LogPage(latest[:limit], latest[limit - 1].id)
    return LogPage(latest, end or None)


async def _alternatives(session: DatabaseSession, filters: Filters) -> list[Filters]:
    """The same filters once for each name that the beginning of a name means: so an index finds each."""
    if "by" not in filters or "name" in filters:
        return [filters]
    begin = filters["by"]
    names: list[str] = []
    last = begin
    if await session.fetch(_page(("exactly_by",), ()), begin, 1):
        names.append(begin)
    while len(names) <= MOST_NAMES:
        following = await session.fetch(NEXT_NAME, last)
        if not following or not following[0][0].startswith(begin):
            others = {name: value for name, value in filters.items() if name != "by"}
            return [{**others, "exactly_by": name} for name in names]
        last = following[0][0]
        names.append(last)
    return [filters]


async def _entries(session: DatabaseSession, filters: Filters, limit: int) -> tuple[list[LogEntry], int]:
    """The latest entries that match, and the id down to which they are all; 0 if to the end."""
    lead = next((name for name in LEADS if name in filters), None)
    leading = tuple(name for name in filters if name in (lead, "last_id"))
    compared = tuple(name for name in filters if name not in leading)
    values = [filters[name] for name in (*leading, *compared)]
    entries = [entry_of(row) for row in await session.fetch(_page(leading, compared), *values, limit)]
    if len(entries) == limit:
        return entries, entries[-1].stored_id
    if not compared:
        return entries, 0
    last = await session.fetch(_last_read(leading), *(filters[name] for name in leading))
    return entries, last[0][0] if last else 0


async def forget(session: DatabaseSession, before: Instant) -> bool:
    """Drop some entries that were written until an instant; whether there may be more."""
    return await session.run(FORGET, before, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE


def entry_values(entry: LogEntry) -> Values:
    """The columns of an entry in their order, without its id."""
    return (
        entry.at,
        entry.by,
        entry.kind.value,
        entry.name,
        _written(entry.before),
        _written(entry.after),
    )


def entry_of(row: Row) -> LogEntry:
    """An entry from its row."""
    row_id, at, by, kind, name, before, after = row
    return LogEntry(
        id=row_id,
        at=at,
        by=by,
        kind=LogKind(kind),
        name=name,
        before=None if before is None else json.loads(before),
        after=None if after is None else json.loads(after),
    )


def _written(description: Description | None) -> str | None:
    return None if description is None else json.dumps(description)
