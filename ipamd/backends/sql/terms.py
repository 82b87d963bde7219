"""Where the terms of a list begin and end: what SQLite reads of them is between two bounds."""

from __future__ import annotations

from typing import Final

from sqlalchemy import TextClause, text

from ipamd.backends.sql.schema import TermKind
from ipamd.backends.sql.schema.term import REACHED, falling

WAITING: Final = text(f"allocation.id > {REACHED}")
"""That a row waits for its terms."""

NOT_GONE: Final = text("listing_term.doc NOT IN (SELECT entry FROM listing_gone)")
"""That an entry is not one of those that are still to be left out."""

BEHIND_ALL: Final = "'~'"


def of_values(
    kind: TermKind,
    *values: str,
    begun_by: str | None = None,
    beyond: str | None = None,
    up_to: str | None = None,
) -> tuple[TextClause, TextClause]:
    """That a term is of the given values, in SQL.

    With `begun_by`, its row began then or before. It stands behind the term of one row, and no further than
    that of another, each named by its id. There is one bound on each side: FTS5 takes no more, and would read
    what the others shut out.
    """
    begin, end = kind.begin(*values), kind.end(*values)
    if begun_by is not None:
        begin = f"{begin} || {falling(begun_by)}"
    if beyond is not None:
        begin = f"max({begin}, {_of_row(kind, beyond)})"
    if up_to is not None:
        end = f"min({end}, {_of_row(kind, up_to)})"
    return text(f"listing_term.term > {begin}"), text(f"listing_term.term <= {end}")


def between(kind: TermKind, first: str, last: str) -> tuple[TextClause, TextClause]:
    """That the first of a term's values is between two, the latter left out."""
    return text(f"listing_term.term > {kind.first(first)}"), text(f"listing_term.term < {kind.first(last)}")


def _of_row(kind: TermKind, row: str) -> str:
    """The term of a row. Nothing stands behind a row that there is no longer."""
    return (
        f"coalesce((SELECT {kind.of('there')} FROM allocation AS there WHERE there.id = {row}), {BEHIND_ALL})"
    )
