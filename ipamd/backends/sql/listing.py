"""The statements of pages: each reads as many rows as it answers, through the index of one filter.

Of several filters the one that leaves fewest rows leads through its index; the others are compared row by
row. A database without statistics would choose among indexes by chance, so that here only one may be used.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, or_, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from ipamd.backends.sql.schema import ALLOCATION
from ipamd.backends.sql.session import Statement

PAGE_LEADERS: Final = (
    "address",
    "container_id",
    "owner",
    "name",
    "node",
    "namespace",
    "pool",
    "network",
    "cluster",
)
"""The filters of live allocations, the narrowest first."""

HISTORY_LEADERS: Final = ("address", "name", "node", "namespace")
"""The filters of history that have an index for live and one for ended rows, the narrowest first."""


class Unindexed(ColumnElement[Any]):
    """A column compared row by row, never by an index."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(Unindexed)
def _as_it_is(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.column, **options)


@compiles(Unindexed, "sqlite")
def _with_plus(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    """See "Disqualifying WHERE Clause Terms Using Unary-+" in SQLite's description of its planner."""
    return "+" + compiler.process(element.column, **options)


def _equal(name: str, *, indexed: bool) -> ColumnElement[bool]:
    column: ColumnElement[Any] = ALLOCATION.c[name]
    return (column if indexed else Unindexed(column)) == bindparam(f"of_{name}", type_=column.type)


def _leading(filters: Collection[str], leaders: tuple[str, ...]) -> str | None:
    return next((name for name in leaders if name in filters), None)


def _filtered(query: Select[Any], filters: tuple[str, ...], leader: str | None) -> Select[Any]:
    indexed = {leader, "space"} if leader == "address" else {leader}
    return query.where(*(_equal(name, indexed=name in indexed) for name in filters))


def _place_of(row: str) -> ScalarSelect[Any]:
    """Where an allocation named by its id stands in the order of all."""
    there = ALLOCATION.alias("there")
    return select(there.c.since, there.c.id).where(there.c.id == bindparam(row)).scalar_subquery()


@lru_cache
def live_page(filters: tuple[str, ...], *, goes_on: bool) -> Statement:
    """Live allocations, the earliest begun first; `space` is among the filters where `address` is.

    A page that goes on begins after an allocation named by its id, whether it is still live or has ended.
    """
    query = _filtered(select(ALLOCATION), filters, _leading(filters, PAGE_LEADERS))
    query = query.where(ALLOCATION.c.until.is_(None))
    names = tuple(f"of_{name}" for name in filters)
    if goes_on:
        query = query.where(tuple_(ALLOCATION.c.since, ALLOCATION.c.id) > _place_of("last_row"))
        names = (*names, "last_row")
    query = query.order_by(ALLOCATION.c.since, ALLOCATION.c.id).limit(bindparam("most"))
    return Statement(query, (*names, "most"))


@lru_cache
def history_pages(
    filters: tuple[str, ...], moments: tuple[str, ...], *, goes_on: bool
) -> tuple[Statement, ...]:
    """Allocations, the latest begun first, in one statement or in one for live and one for ended rows.

    `moments` are `begun_by` (they began then or before) and `held_after` (they ended later, or have not).
    A page that goes on begins after an allocation named by its id, wherever it stands now.
    """
    leader = _leading(filters, HISTORY_LEADERS)
    query = _filtered(select(ALLOCATION), filters, leader or _leading(filters, ("cluster",)))
    names = tuple(f"of_{name}" for name in filters)
    if goes_on:
        query = query.where(tuple_(ALLOCATION.c.since, ALLOCATION.c.id) < _place_of("last_row"))
        names = (*names, "last_row")
    if "begun_by" in moments:
        query = query.where(ALLOCATION.c.since <= bindparam("begun_by"))
    if "held_after" in moments:
        held = or_(ALLOCATION.c.until.is_(None), ALLOCATION.c.until > bindparam("held_after"))
        query = query.where(held)
    query = query.order_by(ALLOCATION.c.since.desc(), ALLOCATION.c.id.desc()).limit(bindparam("most"))
    names = (*names, *moments, "most")
    if leader is None:
        return (Statement(query, names),)
    live, ended = ALLOCATION.c.until.is_(None), ALLOCATION.c.until.is_not(None)
    return Statement(query.where(live), names), Statement(query.where(ended), names)
