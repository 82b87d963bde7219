"""Ranges that do not overlap, found by an address or a range that they share. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from ipamd.models.address import AddressRange

T = TypeVar("T")


class _Shelf(NamedTuple, Generic[T]):
    """The ranges of one space and family: their first addresses in order, and beside each what it is of."""

    firsts: list[int]
    entries: list[tuple[int, T]]


class Disjoint(Generic[T]):
    """Things with a range each, none of which overlaps another of its space.

    A question costs the logarithm of how many there are: a change of ten thousand pools asks as many times.
    """

    def __init__(self, entries: Iterable[tuple[str, AddressRange, T]]) -> None:
        self._shelves: dict[tuple[str, int], _Shelf[T]] = {}
        for space, addresses, entry in sorted(entries, key=lambda each: int(each[1].first)):
            self.add(space, addresses, entry)

    def add(self, space: str, addresses: AddressRange, entry: T) -> None:
        """Add a range that overlaps none of the others."""
        shelf = self._shelves.setdefault((space, addresses.family), _Shelf([], []))
        at = bisect_left(shelf.firsts, int(addresses.first))
        shelf.firsts.insert(at, int(addresses.first))
        shelf.entries.insert(at, (int(addresses.last), entry))

    def remove(self, space: str, addresses: AddressRange) -> None:
        """Remove a range."""
        shelf = self._shelves[space, addresses.family]
        at = bisect_left(shelf.firsts, int(addresses.first))
        del shelf.firsts[at], shelf.entries[at]

    def meeting(self, space: str, addresses: AddressRange) -> T | None:
        """The first one that shares an address with a range, None if there is none."""
        return next(self.all_meeting(space, addresses), None)

    def all_meeting(self, space: str, addresses: AddressRange) -> Iterator[T]:
        """All that share an address with a range, in the order of their addresses."""
        shelf = self._shelves.get((space, addresses.family))
        if shelf is None:
            return
        begin = max(bisect_right(shelf.firsts, int(addresses.first)) - 1, 0)
        end = bisect_right(shelf.firsts, int(addresses.last))
        for last, entry in shelf.entries[begin:end]:
            if last >= int(addresses.first):
                yield entry
