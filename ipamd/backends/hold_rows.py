"""The addresses of holds, where a backend has all rows at hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ipamd.backends.interface import HoldPosition, HoldSearch
from ipamd.models.allocation import Allocation
from ipamd.models.hold import HoldUse


def found_for(search: HoldSearch | HoldPosition, rows: Sequence[Allocation]) -> list[Allocation]:
    """What a search finds among the rows of its hold, which are in the order of their positions."""
    if isinstance(search, HoldPosition):
        return [row for row in rows if row.position == search.position]
    ready = [row for row in rows if row.free_since is not None and row.free_since <= search.free_before]
    return ready[: search.limit]


def taken_of(hold: str, rows: Iterable[Allocation]) -> list[Allocation]:
    """What workloads have out of a hold."""
    return [
        row for row in rows if row.until is None and row.slot == 0 and row.hold == hold and not row.is_left
    ]


def uses_of(holds: Collection[str] | None, rows: Iterable[Allocation]) -> dict[str, HoldUse]:
    """See `Ledger.hold_uses`."""
    found: dict[str, HoldUse] = {}
    for row in rows:
        if (
            row.until is None
            and row.slot == 0
            and row.hold is not None
            and (holds is None or row.hold in holds)
        ):
            left, taken = found.get(row.hold, HoldUse())
            found[row.hold] = HoldUse(left + row.is_left, taken + (not row.is_left))
    return found
