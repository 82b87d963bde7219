"""What statements that write are made of: rows to be added or put in the place of others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Table, bindparam, case, insert

# SQLite took PostgreSQL's `ON CONFLICT`, and SQLAlchemy's construct for PostgreSQL compiles for both.
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.sql.session import Statement


def added(table: Table, *leave_out: str, **fixed: Any) -> Statement:
    """Add a row. `fixed` columns are expressions, those that are left out have what the table says."""
    names = tuple(column.name for column in table.columns if column.name not in leave_out)
    given: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(insert(table).values(given | fixed).inline(), names)


def upsert_into(table: Table, *leave_out: str) -> tuple[Upsert, tuple[str, ...]]:
    """Add a row, or what the caller adds for one whose key is there; with the names of the parameters."""
    names = tuple(column.name for column in table.columns if column.name not in leave_out)
    return Upsert(table).values({name: bindparam(name) for name in names}).inline(), names


def replaced(table: Table) -> Statement:
    """Add a row, or put it in the place of the one with its key."""
    upsert, names = upsert_into(table)
    keys = [column.name for column in table.primary_key]
    others = {name: upsert.excluded[name] for name in names if name not in keys}
    return Statement(upsert.on_conflict_do_update(index_elements=keys, set_=others), names)


def lowered(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A value, or the given one if that is less."""
    given = bindparam(name, type_=BigInteger())
    return case((column > given, given), else_=column)
