"""The statements of pages: each reads as many rows as it answers, through the index of one filter.

Of several filters the one that leaves fewest rows leads through its index; the others are compared row by
row. A database without statistics would choose among indexes by chance, so that here only one may be used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS
from ipamd.backends.sql.session import Statement

PAGE_LEADS: Final = {
    "address": ("space", "address"),
    "digest_from": (),
    "owner": ("owner",),
    "namespace": ("namespace", "name"),
    "node": ("node",),
    "space": ("space",),
}
"""What may lead a page of live allocations, the narrowest first, and the columns of its index to compare."""

HISTORY_LEADS: Final = {"address": ("space", "address"), "name": ("name",), "node": ("node",)}
"""The same of history."""

DEFERRED_LEADS: Final = {"name", "namespace", "node"}
"""Filters whose indexes are deferred on SQLite (`ipamd/backends/sql/sqlite/deferred_indexes.py`)."""


class Part(Enum):
    """Which allocations a statement reads: all, those that are listed, or those that wait to be."""

    ALL = "all"
    LISTED = "listed"
    UNLISTED = "unlisted"


BOUNDS: Final = {
    "digest_from": ALLOCATION.c.digest >= bindparam("of_digest_from", type_=ALLOCATION.c.digest.type),
    "digest_to": ALLOCATION.c.digest <= bindparam("of_digest_to", type_=ALLOCATION.c.digest.type),
    "first_address": ALLOCATION.c.address >= bindparam("of_first_address", type_=ALLOCATION.c.address.type),
    "last_address": ALLOCATION.c.address <= bindparam("of_last_address", type_=ALLOCATION.c.address.type),
}
"""Filters that are no equalities: the digests of a container, the addresses of a pool."""

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


def parts(
    filters: Collection[str], leads: Mapping[str, tuple[str, ...]], *, deferred: bool
) -> tuple[Part, ...]:
    """What a page is put together from, where there are deferred indexes or none."""
    leading = next((lead for lead in leads if lead in filters), None)
    return (Part.LISTED, Part.UNLISTED) if deferred and leading in DEFERRED_LEADS else (Part.ALL,)


def _filtered(filters: Collection[str], leads: Mapping[str, tuple[str, ...]], part: Part) -> Select[Any]:
    indexed = next((columns for lead, columns in leads.items() if lead in filters), ())
    query = select(*ALLOCATION_COLUMNS)
    if part is Part.LISTED:
        query = query.where(text("listed"))
    elif part is Part.UNLISTED:
        query, indexed = query.where(ALLOCATION.c.id.in_(_unlisted(filters))), ()
    return query.where(*(_condition(name, indexed=name in indexed) for name in filters))


def _unlisted(filters: Collection[str]) -> Select[Any]:
    """Which rows wait to be listed, from their own index alone."""
    waits = ALLOCATION.alias("waits")
    given = [waits.c[name] == bindparam(f"of_{name}") for name in sorted(DEFERRED_LEADS & set(filters))]
    return select(waits.c.id).where(text("NOT waits.listed"), *given)


def _order(part: Part, *names: str) -> list[ColumnElement[Any]]:
    """The columns of an order, which no index gives to those that are few and not listed."""
    waits = part is Part.UNLISTED
    return [Unindexed(column) if waits else column for column in (ALLOCATION.c[name] for name in names)]


def _condition(name: str, *, indexed: bool) -> ColumnElement[bool]:
    if name in BOUNDS:
        return BOUNDS[name]
    column: ColumnElement[Any] = ALLOCATION.c[name]
    return (column if indexed else Unindexed(column)) == bindparam(f"of_{name}", type_=column.type)


def _place_of(row: str, *order: str) -> ScalarSelect[Any]:
    """Where an allocation named by its id stands in a list."""
    there = ALLOCATION.alias("there")
    columns = (there.c[name] for name in order)
    return select(*columns).where(there.c.id == bindparam(row)).scalar_subquery()


@lru_cache
def live_page(filters: tuple[str, ...], part: Part, *, goes_on: bool) -> Statement:
    """Live allocations in the order of `AllocationQuery.place`.

    A page that goes on begins after an allocation named by its id, whether it is still live or has ended.
    """
    by_name = "namespace" in filters and "name" not in filters
    order = ("name", "space", "address") if by_name else ("space", "address")
    query = _filtered(filters, PAGE_LEADS, part).where(ALLOCATION.c.until.is_(None))
    names = tuple(f"of_{name}" for name in filters)
    columns = _order(part, *order)
    if goes_on:
        query = query.where(tuple_(*columns) > _place_of("last_row", *order))
        names = (*names, "last_row")
    return Statement(query.order_by(*columns).limit(bindparam("most")), (*names, "most"))


@lru_cache
def history_page(
    filters: tuple[str, ...], moments: tuple[str, ...], part: Part, *, goes_on: bool
) -> Statement:
    """Live and ended allocations, the latest begun first.

    `moments` are `begun_by` (they began then or before) and `held_after` (they ended later, or have not).
    A page that goes on begins after an allocation named by its id.
    """
    query = _filtered(filters, HISTORY_LEADS, part)
    since, number = _order(part, "since", "id")
    names = tuple(f"of_{name}" for name in filters)
    if "begun_by" in moments:
        query = query.where(since <= bindparam("begun_by"))
    if "held_after" in moments:
        until = ALLOCATION.c.until
        query = query.where(or_(until.is_(None), until > bindparam("held_after")))
        if "address" in filters:
            query = query.where(ALLOCATION.c.since >= _holder_at("held_after"))
    names = (*names, *moments)
    if goes_on:
        place = tuple_(since, number)
        query, names = query.where(place < _place_of("last_row", "since", "id")), (*names, "last_row")
    query = query.order_by(since.desc(), number.desc()).limit(bindparam("most"))
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
            past.c.since <= bindparam(moment),
        )
        .order_by(past.c.since.desc())
        .limit(1)
        .offset(HOLDERS_AT_ONCE - 1)
        .scalar_subquery()
    )
    return func.coalesce(begun, literal_column("0"))
