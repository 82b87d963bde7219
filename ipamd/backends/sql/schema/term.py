"""Terms: by what SQLite finds the rows of some lists, each in the order of its list.

An index over names takes each row at a place of its own, and each place is a page to write. So on SQLite such
lists go by a full-text index, FTS5, which appends what is new and merges it with the rest by and by
(docs/decisions/0052-terms.md). A row has a term in it for each of these lists, and the order of the terms is
that of the list. Triggers see to it that a change or the end of a row changes its terms, whoever makes it.

A row has two entries: what finds it as long as it exists, and what finds it while it lives.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from sqlalchemy import DDL, Column, FromClause, Integer, MetaData, Table, Text, event, literal_column

from ipamd.backends.sql.schema.allocation import ALLOCATION

TERM: Final = Table("listing_term", MetaData(), Column("term", Text), Column("doc", Integer))
"""Each term, in the order of terms, with the entry that has it."""

WITH_ROWS: Final[FromClause] = TERM.join(
    ALLOCATION, ALLOCATION.c.id == literal_column("listing_term.doc / 2", Integer)
)

LARGEST: Final = (1 << 63) - 1


class TermKind(Enum):
    """A list that goes by terms: the letter of its terms, what the list is of, what makes its order."""

    value: tuple[str, tuple[str, ...], tuple[str, ...]]

    LIVE_OF_NODE = ("a", ("node",), ("space", "address", "slot", "cluster"))
    LIVE_OF_WORKLOAD = ("b", ("namespace", "name"), ("space", "address", "slot"))
    OF_NODE = ("c", ("node",), ("since", "id"))
    OF_NAME = ("d", ("name",), ("since", "id"))

    @property
    def given(self) -> tuple[str, ...]:
        """The columns of which a list has one value each: all of them, or the first."""
        _, given, _ = self.value
        return given

    def of(self, row: str) -> str:
        """The term of a row, in SQL; empty if the row has none."""
        letter, given, order = self.value
        parts = _joined(_part(name, f"{row}.{name}") for name in (*given, *order))
        return f"iif({row}.{given[0]} IS NULL, '', '{letter}' || {parts})"

    def first(self, *values: str) -> str:
        """Before what the terms of some values stand, and what follows them, in SQL."""
        return f"'{self.value[0]}' || {_joined(map(word, values))}"

    def begin(self, *values: str) -> str:
        """How the terms of some values begin, in SQL."""
        return f"{self.first(*values)} || '.'"

    def end(self, *values: str) -> str:
        """What stands behind all terms of some values, in SQL."""
        return f"{self.first(*values)} || '/'"  # which follows the dot

    def bounds(self, *values: str) -> tuple[str, str]:
        """What stands before and behind all terms of some values, for a statement that asks about many.

        SQLite would work out an expression once for each term.
        """
        first = self.value[0] + ".".join(value.encode().hex() for value in values)
        return f"{first}.", f"{first}/"


def word(value: str) -> str:
    """Text or bytes in the order of their bytes, in SQL, without blanks, dots and capital letters."""
    return f"lower(hex({value}))"


def falling(value: str) -> str:
    """A number, in SQL, such that what is larger comes earlier."""
    return f"printf('%016x', {LARGEST} - {value})"


def _part(name: str, value: str) -> str:
    match name:
        case "slot":
            return value
        case "since" | "id":
            return falling(value)
        case _:
            return word(value)


def _joined(parts: Iterable[str]) -> str:
    return " || '.' || ".join(parts)


def always(row: str) -> str:
    """What finds a row as long as it exists, in SQL."""
    return f"{TermKind.OF_NODE.of(row)} || ' ' || {TermKind.OF_NAME.of(row)}"


def living(row: str) -> str:
    """What finds a row while it lives, in SQL."""
    return f"{TermKind.LIVE_OF_NODE.of(row)} || ' ' || {TermKind.LIVE_OF_WORKLOAD.of(row)}"


REACHED: Final = "(SELECT reached FROM listing_reached)"
"""The last row that has its terms."""

_ENTER: Final = "INSERT INTO listing (rowid, terms) SELECT"
_LEAVE: Final = "INSERT INTO listing (listing, rowid, terms) SELECT 'delete',"
_PUT_OFF: Final = "INSERT INTO listing_gone (entry, terms) SELECT"
_AGED: Final = "OLD.since <> NEW.since OR OLD.node IS NOT NEW.node OR OLD.name IS NOT NEW.name"
_MOVED: Final = (
    "OLD.until IS NULL AND NEW.until IS NULL AND (OLD.node IS NOT NEW.node OR OLD.cluster IS NOT NEW.cluster"
    " OR OLD.namespace IS NOT NEW.namespace OR OLD.name IS NOT NEW.name OR OLD.space <> NEW.space"
    " OR OLD.address <> NEW.address OR OLD.slot <> NEW.slot)"
)

CREATE: Final = (
    "CREATE VIRTUAL TABLE listing USING fts5("
    "terms, content='', columnsize=0, detail=none, tokenize=\"ascii tokenchars '.'\")",
    # FTS5 merges by itself only where many segments are of one size: `deferred_terms.py` merges before.
    "INSERT INTO listing (listing, rank) VALUES ('automerge', 0)",
    "CREATE VIRTUAL TABLE listing_term USING fts5vocab(listing, instance)",
    "CREATE TABLE listing_reached (id INTEGER PRIMARY KEY CHECK (id = 1), reached INTEGER NOT NULL)",
    "INSERT INTO listing_reached SELECT 1, coalesce(max(id), 0) FROM allocation",
    "CREATE TABLE listing_gone (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, terms TEXT NOT NULL)",
    f"""CREATE TRIGGER allocation_changes
AFTER UPDATE OF until, since, node, cluster, namespace, name, space, address, slot ON allocation
WHEN OLD.id <= {REACHED} BEGIN
  {_PUT_OFF} OLD.id * 2 + 1, {living("OLD")} WHERE OLD.until IS NULL AND NEW.until IS NOT NULL;
  {_LEAVE} OLD.id * 2, {always("OLD")} WHERE {_AGED};
  {_ENTER} NEW.id * 2, {always("NEW")} WHERE {_AGED};
  {_LEAVE} OLD.id * 2 + 1, {living("OLD")} WHERE {_MOVED};
  {_ENTER} NEW.id * 2 + 1, {living("NEW")} WHERE {_MOVED};
END""",
    f"""CREATE TRIGGER allocation_goes AFTER DELETE ON allocation WHEN OLD.id <= {REACHED} BEGIN
  {_PUT_OFF} OLD.id * 2, {always("OLD")};
  {_PUT_OFF} OLD.id * 2 + 1, {living("OLD")} WHERE OLD.until IS NULL;
END""",
)
"""What finds rows, which of them it lacks yet, and what it has to lose yet; and what keeps that right.

A row enters with many others, and what it loses by its end it loses with many others: one alone would cost
several pages. Until then it is found by its id, or left out because it has ended. Nothing that ended begins
again, and no row is added before another.
"""

for _statement in CREATE:
    _made = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    event.listen(ALLOCATION, "after_create", _made.execute_if(dialect="sqlite"))
