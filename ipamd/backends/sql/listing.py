"""The statements of pages: each reads as many rows as it answers, through the index of one filter.

Of several filters the one that leaves fewest rows leads through its index; the others are compared row by
row. A database without statistics would choose among indexes by chance, so that here only one may be used.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, func, literal_column, select, tuple_
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

HISTORY_LEADERS: Final = ("address", "name", "node", "namespace", "cluster")
"""The filters of history, the narrowest first."""


HOLDERS_AT_ONCE: Final = 16
"""So many may seem to have had one address at one moment, after a clock was set back."""


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
def history_page(
    filters: tuple[str, ...], moments: tuple[str, ...], *, live: bool, goes_on: bool, ends: bool
) -> Statement:
    """Live or ended allocations, the latest begun first.

    `moments` are `begun_by` (they began then or before) and `held_after` (they ended later, or have not).
    A page that goes on begins after an allocation named by its id, wherever it stands now; one that ends
    does so at `floor_since` and `floor_id`.
    """
    query = _filtered(select(ALLOCATION), filters, _leading(filters, HISTORY_LEADERS))
    query = query.where(ALLOCATION.c.until.is_(None) if live else ALLOCATION.c.until.is_not(None))
    names = tuple(f"of_{name}" for name in filters)
    place = tuple_(ALLOCATION.c.since, ALLOCATION.c.id)
    if "begun_by" in moments:
        query = query.where(ALLOCATION.c.since <= bindparam("begun_by"))
    if "held_after" in moments and not live:
        query = query.where(ALLOCATION.c.until > bindparam("held_after"))
        if "address" in filters:
            query = query.where(ALLOCATION.c.since >= _holder_at("held_after"))
    names = (*names, *moments)
    if goes_on:
        query, names = query.where(place < _place_of("last_row")), (*names, "last_row")
    if ends:
        floor = tuple_(bindparam("floor_since"), bindparam("floor_id"))
        query, names = query.where(place > floor), (*names, "floor_since", "floor_id")
    query = query.order_by(ALLOCATION.c.since.desc(), ALLOCATION.c.id.desc()).limit(bindparam("most"))
    return Statement(query, (*names, "most"))


def _holder_at(moment: str) -> ColumnElement[int]:
    """Since when the earliest of those holds an address who may have had it at a moment.

    By the clock each holder ended before the next began, so that one row would do; some more are read, for
    clocks are set back and replicas' clocks differ.
    """
    past = ALLOCATION.alias("past")
    begun = (
        select(past.c.since)
        .where(
            past.c.space == bindparam("of_space"),
            past.c.address == bindparam("of_address"),
            past.c.until.is_not(None),
            past.c.since <= bindparam(moment),
        )
        .order_by(past.c.since.desc())
        .limit(1)
        .offset(HOLDERS_AT_ONCE - 1)
        .scalar_subquery()
    )
    return func.coalesce(begun, literal_column("0"))
