"""Pages of allocations: each out of the statements of `listing`, in one reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from ipamd.backends.sql import listing
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.prefixes import around_values
from ipamd.backends.sql.rows import address_of
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import Allocation
from ipamd.models.query import AllocationPage

Order = Callable[[Allocation], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf:
    """Which page of which list: the values of its filters, and the id of the row after which it begins.

    With `deferred`, terms come later: the latest rows are found apart.
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

    def values(self, *names: str, part: listing.Part = listing.Part.ALL) -> list[Any]:
        """The values of some filters of a statement, and where the page begins."""
        found: list[Any] = []
        for name in names:
            is_around = name == "address" and part in listing.AROUND.values()
            found += around_values(address_of(self.given[name])) if is_around else [self.given[name]]
        return [*found, *([] if self.after is None else [self.after])]


async def whole(session: DatabaseSession, page: PageOf, order: Order, limit: int) -> list[Allocation]:
    """A page, whatever is read for it."""
    pieces = [await _piece(session, page, part, limit, None) for part in page.parts]
    return _merged(pieces, order, limit)


async def bounded(session: DatabaseSession, page: PageOf, order: Order, limit: int) -> AllocationPage:
    """A page for which so many rows are read at most as `listing.READ_AT_ONCE`."""
    led = listing.led(page.rows, page.given)
    if led is None:
        return AllocationPage.of(await whole(session, page, order, limit + 1), limit)
    first, *others = page.parts
    pieces = [await _first(session, page, first, led, limit + 1)]
    # Among the first rows it is full, or they are all that match up to where reading ended.
    reach = None if len(pieces[0]) > limit else await _reach(session, page, first, led)
    pieces += [await _piece(session, page, part, limit + 1, reach) for part in others]
    return AllocationPage.of(_merged(pieces, order, limit + 1), limit, reach)


async def _first(
    session: DatabaseSession, page: PageOf, part: listing.Part, led: tuple[str, ...], limit: int
) -> list[Allocation]:
    """The first rows of a part that match, among those that are read for a bounded page."""
    compared = tuple(name for name in page.given if name not in led)
    statement = listing.bounded_page(page.rows, led, compared, part, goes_on=page.after is not None)
    values = [*page.values(*led), *(page.given[name] for name in compared), limit]
    return await allocations(session, statement, *values)


async def _reach(
    session: DatabaseSession, page: PageOf, part: listing.Part, led: tuple[str, ...]
) -> int | None:
    """The id of the last row that is read, None if all that are left may be."""
    statement = listing.reach(page.rows, led, part, goes_on=page.after is not None)
    rows = await session.fetch(statement, *page.values(*led))
    return int(rows[0][0]) if rows else None


async def _piece(
    session: DatabaseSession, page: PageOf, part: listing.Part, limit: int, reach: int | None
) -> list[Allocation]:
    """The first rows of a part that match, none of them behind `reach`."""
    values = [*page.values(*page.given, part=part), *([] if reach is None else [reach]), limit]
    ways = {"goes_on": page.after is not None, "ends": reach is not None}
    return await allocations(session, listing.page(page.rows, page.filters, part, **ways), *values)


def _merged(pieces: Sequence[Sequence[Allocation]], order: Order, limit: int) -> list[Allocation]:
    """The first rows of some pieces in one order."""
    return list(islice(merge(*pieces, key=order), limit))


async def allocations(session: DatabaseSession, statement: Statement, *values: Any) -> list[Allocation]:
    """The allocations that a statement finds."""
    return [allocation_of(row) for row in await session.fetch(statement, *values)]
