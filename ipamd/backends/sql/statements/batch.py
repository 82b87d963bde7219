"""Statements for as many keys or rows as a batch has, compiled for few lengths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, TypeVar

from sqlalchemy import BindParameter, Integer, Values, bindparam, column, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

LARGEST_LIST: Final = 512
"""More keys than this are looked up in several statements."""

MOST_STRETCHES: Final = 256
"""More stretches than this are asked about in several statements."""


def padded(keys: Sequence[T]) -> list[T]:
    """A list filled up to a power of two with its last key, so that few lengths are compiled."""
    length = 1 << (len(keys) - 1).bit_length()
    return [*keys, *[keys[-1]] * (length - len(keys))]


def in_pieces(keys: Sequence[T]) -> list[list[T]]:
    """Lists of keys, each padded, none longer than a statement takes."""
    starts = range(0, len(keys), LARGEST_LIST)
    return [padded(keys[start : start + LARGEST_LIST]) for start in starts]


def numbered(length: int) -> tuple[list[BindParameter[Any]], tuple[str, ...]]:
    """Parameters for as many keys, and their names."""
    names = tuple(f"key_{number}" for number in range(length))
    return [bindparam(name) for name in names], names


class GivenRows(Values):
    """A small table out of parameters: `VALUES`, whose columns SQLite cannot name.

    PostgreSQL plans each part of a `UNION ALL` by itself: 256 of them take 50 ms.
    """

    inherit_cache = False


@compiles(GivenRows)
def _as_values(element: GivenRows, compiler: SQLCompiler, **options: Any) -> str:
    written: str = compiler.visit_values(element, **options)  # type: ignore[no-untyped-call]
    return written


@compiles(GivenRows, "sqlite")
def _as_union(element: GivenRows, compiler: SQLCompiler, **_options: Any) -> str:
    names = [column.name for column in element.columns]
    rows = (
        ", ".join(f"{compiler.process(value)} AS {name}" for name, value in zip(names, row, strict=True))
        for row in chain.from_iterable(element._data)  # it has no public name
    )
    return f"({' UNION ALL '.join(f'SELECT {row}' for row in rows)}) AS {element.name}"


def given_rows(length: int, **columns: TypeEngine[Any]) -> tuple[GivenRows, tuple[str, ...]]:
    """A small table of what is asked about, out of parameters, and their names: each row is one search."""
    rows = [
        (
            literal_column(str(number), Integer()),
            *(bindparam(f"{name}_{number}", type_=kind) for name, kind in columns.items()),
        )
        for number in range(length)
    ]
    names = tuple(f"{name}_{number}" for number in range(length) for name in columns)
    named = (column("number", Integer()), *(column(name, kind) for name, kind in columns.items()))
    made = GivenRows(*named, name="asked").data(rows)
    return made, names
