"""Rows that a statement is given: one parameter is an array for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Table, TableValuedAlias, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.types import TypeEngine

from ipamd.backends.sql.session import Values

Kinds = dict[str, TypeEngine[Any]]


PLACE: Final = "place"
"""The column that numbers the rows of an array, from 1."""


def columns_of(rows: Sequence[Values]) -> Values:
    """Rows as a driver takes them: an array for each column."""
    return tuple(zip(*rows, strict=True))


def rows_given(
    kinds: Kinds, *, numbered: bool = False, of: str = "all"
) -> tuple[TableValuedAlias, tuple[str, ...]]:
    """The rows that a statement is given, and the names of its array parameters, which begin with `of`."""
    names = tuple(f"{of}_{name}" for name in kinds)
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in zip(names, kinds.values(), strict=True)]
    columns = [column(name, kind) for name, kind in kinds.items()]
    unnested = func.unnest(*arrays).table_valued(
        *columns, name=f"{of}_given", with_ordinality=PLACE if numbered else None
    )
    return unnested.render_derived(), names


def kinds_of(columns: Sequence[Column[Any]]) -> Kinds:
    """What some columns are, by name."""
    return {one.name: one.type for one in columns}


def columns_but(table: Table, *leave_out: str) -> list[Column[Any]]:
    """The columns of a table without these."""
    return [one for one in table.columns if one.name not in leave_out]


def upsert_into(table: Table, *leave_out: str) -> tuple[Upsert, tuple[str, ...]]:
    """An insertion of the rows that it is given, without these columns, and its parameters."""
    columns = columns_but(table, *leave_out)
    given, names = rows_given(kinds_of(columns))
    inserted = [one.name for one in columns]
    return Upsert(table).from_select(inserted, select(*(given.c[name] for name in inserted))), names
