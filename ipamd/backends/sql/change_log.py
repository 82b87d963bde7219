"""The change log, in SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, bindparam, delete, func, insert, select

from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.schema import CHANGE_LOG
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.change_log import Description, LogEntry, LogKind, LogQuery
from ipamd.models.instant import Instant

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

CONDITIONS: Final[Mapping[str, Callable[[Any], ColumnElement[bool]]]] = {
    "kind": lambda given: CHANGE_LOG.c.kind == given,
    "but_not": lambda given: CHANGE_LOG.c.kind != given,
    "name": lambda given: CHANGE_LOG.c.name == given,
    "by": lambda given: func.substr(CHANGE_LOG.c.changed_by, 1, func.length(given)) == given,
    "after": lambda given: CHANGE_LOG.c.at >= given,
    "before": lambda given: CHANGE_LOG.c.at < given,
    "last_id": lambda given: CHANGE_LOG.c.id < given,
}


@lru_cache
def _page(filters: tuple[str, ...]) -> Statement:
    """Entries that match, latest first."""
    kinds = {"after": BigInteger(), "before": BigInteger(), "last_id": BigInteger()}
    given = {name: bindparam(f"of_{name}", type_=kinds.get(name, CHANGE_LOG.c.kind.type)) for name in filters}
    query = select(CHANGE_LOG).where(*(CONDITIONS[name](given[name]) for name in filters))
    return Statement(
        query.order_by(CHANGE_LOG.c.id.desc()).limit(bindparam("most")),
        (*(f"of_{name}" for name in filters), "most"),
    )


async def page(session: DatabaseSession, query: LogQuery, last_id: int | None, limit: int) -> list[LogEntry]:
    """A page of the log, latest first. `last_id` is the id of the last entry of the page before."""
    values = {
        "kind": query.kind and query.kind.value,
        "but_not": query.but_not and query.but_not.value,
        "name": query.name,
        "by": query.by,
        "after": query.after,
        "before": query.before,
        "last_id": last_id,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return [entry_of(row) for row in await session.fetch(_page(tuple(given)), *given.values(), limit)]


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
