"""Lists, page by page: a limit, and an opaque cursor where the next page begins."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field

from ipamd.api.schemas.text import Document, Number
from ipamd.models.errors import InvalidValue

DEFAULT_LIMIT = 100
MOST_ROWS = 1000
LARGEST_ID = (1 << 63) - 1

T = TypeVar("T")
Key = int | list[str]
"""Where a page ended: the number of its last row, or the names by which the list is sorted."""


class PageQuery(Document):
    """Which page of a list."""

    limit: Annotated[Number, Field(ge=1, le=MOST_ROWS)] = DEFAULT_LIMIT
    cursor: Annotated[str, Field(max_length=2048)] | None = Field(
        None, description="`next` of the page before."
    )

    def after_number(self) -> int | None:
        """In a list by number, the row after which the page begins. Raises InvalidValue."""
        key = self._key()
        if key is None or (isinstance(key, int) and 0 <= key <= LARGEST_ID):
            return key
        raise foreign()

    def after_names(self, count: int) -> tuple[str, ...] | None:
        """In a list by `count` names, the names after which the page begins. Raises InvalidValue."""
        key = self._key()
        if key is None:
            return None
        if isinstance(key, list) and len(key) == count:
            return tuple(key)
        raise foreign()

    def _key(self) -> Key | None:
        return None if self.cursor is None else key_of(self.cursor)


def key_of(cursor: str) -> Key:
    """Where a page ended. Raises InvalidValue."""
    try:
        key = json.loads(urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, RecursionError):
        raise foreign() from None
    if isinstance(key, int) and not isinstance(key, bool):
        return key
    if isinstance(key, list) and all(isinstance(name, str) for name in key):
        return key
    raise foreign()


def page(rows: Sequence[T], limit: int, show: Callable[[T], Any], key: Callable[[T], Key]) -> dict[str, Any]:
    """A page of up to `limit + 1` rows: if there is a last one too many, there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {"items": [show(row) for row in shown], "next": cursor_of(key(shown[-1])) if more else None}


def bounded_page(rows: Sequence[T], following: int | None, show: Callable[[T], Any]) -> dict[str, Any]:
    """A page for which so much was read at most, and where the next one begins."""
    return {
        "items": [show(row) for row in rows],
        "next": cursor_of(following) if following is not None else None,
    }


def page_of_names(
    rows: Sequence[T],
    query: PageQuery,
    show: Callable[[T], Any],
    names: Callable[[T], Sequence[str]],
) -> dict[str, Any]:
    """A page of rows in memory, sorted by names."""
    rows = sorted(rows, key=lambda row: tuple(names(row)))
    after = query.after_names(len(names(rows[0]))) if rows else None
    if after is not None:
        rows = [row for row in rows if tuple(names(row)) > after]
    return page(rows, query.limit, show, lambda row: list(names(row)))


def cursor_of(key: Key) -> str:
    """A cursor that says where a page ended."""
    return urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode()


def foreign() -> InvalidValue:
    """The error for a cursor that is not from this list."""
    return InvalidValue("cursor", "is not a cursor of this list: take it from `next`, or leave it out")
