"""Pages of allocations: each out of the statements of `listing`, in one reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from ipamd.backends.sql import listing
from ipamd.backends.sql.rows import allocation_of
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import Allocation
from ipamd.models.query import AllocationPage

Order = Callable[[Allocation], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf:
    """Which page of which list: the values of its filters, and the id of the row after which it begins.

    With `deferred` the deferred indexes lack what is not listed yet.
    """

    rows: listing.Rows
    given: Mapping[str, Any]
    after: int | None
    deferred: bool

    @property
    def filters(self) -> tuple[str, ...]:
        return tuple(self.given)

    @property
    def parts(self) -> tuple[listing.Part, ...]:
        return listing.parts(self.rows, self.given, deferred=self.deferred)

    def values(self, *names: str) -> list[Any]:
        """The values of some filters, and where the page begins."""
        return [*(self.given[name] for name in names), *([] if self.after is None else [self.after])]


async def whole(session: DatabaseSession, page: PageOf, order: Order, limit: int) -> list[Allocation]:
    """A page, whatever is read for it."""
    return await _read(session, page, order, limit, None)


async def bounded(session: DatabaseSession, page: PageOf, order: Order, limit: int) -> AllocationPage:
    """A page for which so many rows are read at most as `listing.READ_AT_ONCE`."""
    reach = await _reach(session, page)
    return AllocationPage.of(await _read(session, page, order, limit + 1, reach), limit, reach)


async def _reach(session: DatabaseSession, page: PageOf) -> int | None:
    """The id of the last row that is read, None if all that are left may be."""
    led = listing.led(page.rows, page.given)
    if led is None:
        return None
    statement = listing.reach(page.rows, led, page.parts[0], goes_on=page.after is not None)
    rows = await session.fetch(statement, *page.values(*led))
    return int(rows[0][0]) if rows else None


async def _read(
    session: DatabaseSession, page: PageOf, order: Order, limit: int, reach: int | None
) -> list[Allocation]:
    """One page out of statements that each give theirs in the same order."""
    values = [*page.values(*page.given), *([] if reach is None else [reach]), limit]
    ways = {"goes_on": page.after is not None, "ends": reach is not None}
    pieces = [listing.page(page.rows, page.filters, part, **ways) for part in page.parts]
    found = [await allocations(session, piece, *values) for piece in pieces]
    return list(islice(merge(*found, key=order), limit))


async def allocations(session: DatabaseSession, statement: Statement, *values: Any) -> list[Allocation]:
    """The allocations that a statement finds."""
    return [allocation_of(row) for row in await session.fetch(statement, *values)]
