"""The statements of pages: each reads as many rows as it answers, through the index of one filter.

Of several filters the one that leaves fewest rows leads through its index; the others are compared row by
row. A database without statistics would choose among indexes by chance, so that here only one may be used.
A bounded page ends after so many rows that the leading filter finds, however few of them match the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from operator import eq, ge, gt, le
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
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler

from ipamd.backends.sql import terms
from ipamd.backends.sql.prefixes import around_names, is_around
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, TERM, TermKind
from ipamd.backends.sql.schema.term import WITH_ROWS
from ipamd.backends.sql.session import Statement

Columns = ReadOnlyColumnCollection[str, Any]


class Rows(Enum):
    """Which allocations a list is of: those that live, or those that have ended too."""

    LIVE = "live"
    PAST = "past"


LEADS: Final[Mapping[Rows, Mapping[str, tuple[str, ...]]]] = {
    Rows.LIVE: {
        "address": ("space", "address"),
        "digest_from": (),
        "owner": ("owner",),
        "namespace": ("namespace", "name"),
        "node": ("node", "cluster"),
        "name": ("name",),
        "space": ("space",),
    },
    Rows.PAST: {
        "address": ("space", "address"),
        "held_for": ("held_for",),
        "name": ("name",),
        "node": ("node",),
    },
}
"""What may lead a page, the narrowest first, and the columns of its index to compare."""

ALL_READ: Final = {"address", "digest_from", "name"}
"""Leads of what lives that find few, or not in the order of the list: all that they find is read. An owner's
are in no order of names, which a list of a namespace has."""

READ_AT_ONCE: Final = 5_000
"""So many rows that the leading filter finds are read for a bounded page at most."""

AGE: Final = ("since", "id")

TERMS: Final[Mapping[Rows, Mapping[str, TermKind]]] = {
    Rows.LIVE: {
        "namespace": TermKind.LIVE_OF_WORKLOAD,
        "node": TermKind.LIVE_OF_NODE,
        "name": TermKind.OF_NAME,
    },
    Rows.PAST: {"name": TermKind.OF_NAME, "node": TermKind.OF_NODE},
}
"""Leads that go by terms on SQLite, which a row gets a little later
(`ipamd/backends/sql/sqlite/deferred_terms.py`)."""


class Part(Enum):
    """Which allocations a statement reads: all, those that have terms, or those that wait for them.

    If an address is asked for, they are those that begin with it, and those of prefixes around it. In
    history those that have ended and those that live are apart: each have an index of their own.
    """

    ALL = "all"
    BY_TERMS = "by terms"
    WAITING = "waiting"
    ENDED = "ended"
    LIVING = "living"
    AROUND_4 = "around an IPv4 address"
    AROUND_6 = "around an IPv6 address"


AROUND: Final = {4: Part.AROUND_4, 16: Part.AROUND_6}
"""The prefixes around an address, by the length of the address in bytes."""

_FAMILIES: Final = {Part.AROUND_4: 4, Part.AROUND_6: 6}


COMPARED: Final = {
    "digest_from": ("digest", ge),
    "digest_to": ("digest", le),
    "first_address": ("address", ge),
    "last_address": ("address", le),
    "begun_by": ("since", le),
    "held_after": ("until", gt),
}
"""Filters that are no equalities: the digests of a container, the addresses of a pool, moments of history."""

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


def parts(of: Rows, filters: Mapping[str, Any], *, deferred: bool) -> tuple[Part, ...]:
    """What a page is put together from, where terms are deferred, or where there are none."""
    if "address" in filters:
        beginning = (Part.ALL,) if of is Rows.LIVE else (Part.ENDED, Part.LIVING)
        return *beginning, AROUND[len(filters["address"])]
    deferred = deferred and _lead(of, filters) in TERMS[of]
    return (Part.BY_TERMS, Part.WAITING) if deferred else (Part.ALL,)


def led(of: Rows, filters: Collection[str]) -> tuple[str, ...] | None:
    """Those of the filters by which the index of a page finds its rows, if it compares others row by row."""
    lead = _lead(of, filters)
    by_index = {*LEADS[of].get(lead or "", ())}
    apart: set[str] = set()
    if of is Rows.PAST:
        by_index |= {"begun_by", "held_after"} if lead == "address" else {"begun_by"}
    elif lead == "space":
        by_index |= {"first_address", "last_address"}
        # Between the addresses of a pool nearly all are of that pool.
        apart = {"pool"} if "first_address" in filters else set()
    all_read = of is Rows.LIVE and (lead in ALL_READ or (lead == "owner" and "namespace" in filters))
    if all_read or {*filters} <= by_index | apart:
        return None
    return tuple(name for name in filters if name in by_index)


def _lead(of: Rows, filters: Collection[str]) -> str | None:
    return next((lead for lead in LEADS[of] if lead in filters), None)


def _column_of(name: str) -> str:
    """The column that a filter compares."""
    return COMPARED.get(name, (name, eq))[0]


def _condition(of: Columns, name: str, *, indexed: bool) -> ColumnElement[bool]:
    """That a row matches a filter. What ended later than a moment, or has not ended, was held after it."""
    called, compare = COMPARED.get(name, (name, eq))
    column: ColumnElement[Any] = of[called]
    met: ColumnElement[bool] = compare(
        column if indexed else Unindexed(column), bindparam(f"of_{name}", type_=column.type)
    )
    return or_(column.is_(None), met) if name == "held_after" else met


@lru_cache
def page(of: Rows, filters: tuple[str, ...], part: Part, *, goes_on: bool, ends: bool) -> Statement:
    """Live allocations in the order of `AllocationQuery.place`, or all, the latest begun first.

    Of the filters of history `begun_by` are those that began then or before, `held_after` those that ended
    later or have not. A page that goes on begins after an allocation named by its id, whether it is still
    live or has ended; one that `ends` goes as far as another.
    """
    query = _in_order(of, filters, part, goes_on=goes_on, ends=ends)
    names = (*_names(filters, part, goes_on=goes_on), *(("end_row",) if ends else ()), "most")
    return Statement(query.limit(bindparam("most")), names)


@lru_cache
def bounded_page(
    of: Rows, led: tuple[str, ...], compared: tuple[str, ...], part: Part, *, goes_on: bool
) -> Statement:
    """The same list, out of so many rows that the filters find by which its index is read (`led`).

    Reading stops where the page is full: rows come in the order of the inner query, and to ask for it once
    more would let SQLite read them all to sort them.
    """
    looked_at = dict.fromkeys(["id", *(_column_of(name) for name in compared)])
    inner = _in_order(of, led, part, goes_on=goes_on)
    columns = (ALLOCATION.c[name] for name in looked_at)
    read = inner.with_only_columns(*columns).limit(literal_column(str(READ_AT_ONCE))).subquery("read")
    met = (_condition(read.c, name, indexed=True) for name in compared)
    there = select(read.c.id).where(*met).limit(bindparam("most"))
    names = (*_names(led, part, goes_on=goes_on), *_names(compared, part, goes_on=False), "most")
    found = select(*ALLOCATION_COLUMNS).where(ALLOCATION.c.id.in_(there))
    return Statement(found.order_by(*_order(of, led, Part.WAITING).directed), names)


@lru_cache
def reach(of: Rows, filters: tuple[str, ...], part: Part, *, goes_on: bool) -> Statement:
    """The id of the last allocation that is read for a bounded page, if there may be more behind it.

    The filters are those that its index compares (`led`).
    """
    query = _in_order(of, filters, part, goes_on=goes_on).with_only_columns(ALLOCATION.c.id)
    last: ColumnElement[int] = literal_column(str(READ_AT_ONCE - 1))
    query = query.limit(literal_column("1")).offset(last)
    return Statement(query, _names(filters, part, goes_on=goes_on))


def _names(filters: tuple[str, ...], part: Part, *, goes_on: bool) -> tuple[str, ...]:
    names: list[str] = []
    for name in filters:
        is_around = name == "address" and part in _FAMILIES
        names += around_names(_FAMILIES[part]) if is_around else [f"of_{name}"]
    return (*names, *(("last_row",) if goes_on else ()))


def _in_order(
    of: Rows, filters: tuple[str, ...], part: Part, *, goes_on: bool, ends: bool = False
) -> Select[Any]:
    """The allocations of a list that match some filters, in its order: behind one row, up to another."""
    order = _order(of, filters, part)
    if part is Part.BY_TERMS and not order.sorts:
        return _by_terms(of, filters, goes_on=goes_on, ends=ends).order_by(TERM.c.term)
    query = _by_terms(of, filters) if part is Part.BY_TERMS else _filtered(of, filters, part)
    if goes_on:
        query = query.where(order.is_beyond("last_row"))
    if ends:
        query = query.where(order.is_up_to("end_row"))
    return query.order_by(*order.directed)


def _by_terms(
    of: Rows, filters: tuple[str, ...], *, goes_on: bool = False, ends: bool = False
) -> Select[Any]:
    """The allocations with terms that match some filters. All filters but those of the terms compare rows."""
    kind = TERMS[of][_lead(of, filters) or ""]
    given = [name for name in kind.given if name in filters]
    bounds = terms.of_values(
        kind,
        *(f":of_{name}" for name in given),
        begun_by=":of_begun_by" if "begun_by" in filters else None,
        beyond=":last_row" if goes_on else None,
        up_to=":end_row" if ends else None,
    )
    compared = [name for name in filters if name not in (*given, "begun_by")]
    query = select(*ALLOCATION_COLUMNS).select_from(WITH_ROWS).where(*bounds)
    query = query.where(*(_condition(ALLOCATION.c, name, indexed=False) for name in compared))
    return query.where(ALLOCATION.c.until.is_(None)) if of is Rows.LIVE else query


def _filtered(of: Rows, filters: tuple[str, ...], part: Part) -> Select[Any]:
    """The allocations of a list that match some filters."""
    indexed = {*LEADS[of].get(_lead(of, filters) or "", ()), *COMPARED}
    query = select(*ALLOCATION_COLUMNS)
    if part is Part.WAITING:
        query, indexed = query.where(terms.WAITING), set()
    elif part in _FAMILIES:
        query = query.where(is_around(_FAMILIES[part]))
        filters = tuple(name for name in filters if name != "address")
    query = query.where(*(_condition(ALLOCATION.c, name, indexed=name in indexed) for name in filters))
    if of is Rows.LIVE or part is Part.LIVING:
        return query.where(ALLOCATION.c.until.is_(None))
    if part is Part.ENDED:
        query = query.where(ALLOCATION.c.until.is_not(None))
        if "held_after" in filters:
            query = query.where(ALLOCATION.c.since >= _holder_at("of_held_after"))
    return query


class _Order:
    """The order of a list, by some columns of its rows; whether it `sorts` what it finds in no order."""

    def __init__(self, names: Sequence[str], *, sorts: bool, falling: bool) -> None:
        columns: list[ColumnElement[Any]] = [ALLOCATION.c[name] for name in names]
        if sorts:
            columns = [Unindexed(column) for column in columns]
        self.sorts = sorts
        self._names = names
        self._place = tuple_(*columns)
        self._falling = falling
        self.directed = [column.desc() if falling else column for column in columns]

    def is_beyond(self, row: str) -> ColumnElement[bool]:
        """That a row stands behind the one with an id."""
        return self._place < self._place_of(row) if self._falling else self._place > self._place_of(row)

    def is_up_to(self, row: str) -> ColumnElement[bool]:
        """That a row stands no further than the one with an id."""
        return self._place >= self._place_of(row) if self._falling else self._place <= self._place_of(row)

    def _place_of(self, row: str) -> ScalarSelect[Any]:
        there = ALLOCATION.alias("there")
        return (
            select(*(there.c[name] for name in self._names))
            .where(there.c.id == bindparam(row))
            .scalar_subquery()
        )


def _order(of: Rows, filters: Collection[str], part: Part) -> _Order:
    """The order of a list. No index gives it to rows that are few, or found by name."""
    names: tuple[str, ...] = AGE
    if of is Rows.LIVE:
        by_name = "namespace" in filters and "name" not in filters
        names = ("name", "space", "address", "slot") if by_name else ("space", "address", "slot")
    sorts = part not in (Part.ALL, Part.BY_TERMS, Part.ENDED) or (
        of is Rows.LIVE and _lead(of, filters) == "name"
    )
    return _Order(names, sorts=sorts, falling=of is Rows.PAST)


def _holder_at(moment: str) -> ColumnElement[int]:
    """Since when the earliest of those who ended held an address, if they may have had it at a moment.

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
