"""What tables are made of: columns, their kinds, and indexes over some rows."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData(
    naming_convention={
        "ck": "%(table_name)s_%(constraint_name)s",
        "pk": "%(table_name)s_key",
        "uq": "%(table_name)s_%(column_0_N_name)s",
    }
)

SERIAL: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up columns of the type INTEGER only."""


WORDS: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared by code points, as SQLite and Python do, whatever the language of the database."""


def needed(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = WORDS) -> Column[Any]:
    """A column that has a value in every row."""
    return Column(name, kind, nullable=False)


def optional(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = WORDS) -> Column[Any]:
    """A column that may be null."""
    return Column(name, kind, nullable=True)


def partial(
    table: Table,
    name: str,
    columns: tuple[str, ...],
    predicate: str,
    *,
    unique: bool = False,
    by_terms: bool = False,
) -> None:
    """An index over some rows; what goes `by_terms` needs none on SQLite."""
    index = Index(
        name,
        *(table.c[column] for column in columns),
        unique=unique,
        sqlite_where=text(predicate),
        postgresql_where=text(predicate),
    )
    if by_terms:
        index.ddl_if(dialect="postgresql")
