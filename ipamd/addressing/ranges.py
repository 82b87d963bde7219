"""Sets of addresses as spans: as cheap for a /8 or an IPv6 /32 as for a handful."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""The values from the first to the last, both included."""


class Spans:
    """An immutable set of integers, kept as sorted spans that neither touch nor overlap."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        firsts: list[int] = []
        lasts: list[int] = []
        for first, last in sorted(spans):
            if lasts and first <= lasts[-1] + 1:
                lasts[-1] = max(lasts[-1], last)
            else:
                firsts.append(first)
                lasts.append(last)
        self._firsts = firsts
        self._lasts = lasts

    def __iter__(self) -> Iterator[Span]:
        return zip(self._firsts, self._lasts, strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((tuple(self._firsts), tuple(self._lasts)))

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __repr__(self) -> str:
        return f"Spans({list(self)})"

    def __contains__(self, value: int) -> bool:
        at = bisect_right(self._firsts, value) - 1
        return at >= 0 and value <= self._lasts[at]

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(last - first + 1 for first, last in self)

    @property
    def hull(self) -> Span | None:
        """From the smallest value to the largest; None when there is none."""
        return (self._firsts[0], self._lasts[-1]) if self._firsts else None

    def between(self, first: int, last: int) -> Iterator[Span]:
        """The parts that lie from `first` to `last`, in order; skips to the first by bisection."""
        at = max(bisect_right(self._firsts, first) - 1, 0)
        while at < len(self._firsts) and self._firsts[at] <= last:
            if self._lasts[at] >= first:
                yield max(self._firsts[at], first), min(self._lasts[at], last)
            at += 1

    def count_between(self, first: int, last: int) -> int:
        """How many values lie from `first` to `last`."""
        return sum(end - begin + 1 for begin, end in self.between(first, last))

    def meets(self, first: int, last: int) -> bool:
        """Whether any value lies from `first` to `last`."""
        return next(self.between(first, last), None) is not None

    def next_from(self, value: int) -> int | None:
        """The smallest value that is at least this one."""
        at = bisect_right(self._firsts, value) - 1
        if at >= 0 and value <= self._lasts[at]:
            return value
        return self._firsts[at + 1] if at + 1 < len(self._firsts) else None

    def bits(self, first: int, size: int) -> int:
        """Which of `size` values from `first` on are in the set: bit i stands for `first + i`."""
        at = bisect_right(self._firsts, first) - 1
        if at >= 0 and first + size - 1 <= self._lasts[at]:
            return (1 << size) - 1
        found = 0
        for begin, end in self.between(first, first + size - 1):
            found |= ((1 << (end - begin + 1)) - 1) << (begin - first)
        return found

    def minus(self, other: Spans) -> Spans:
        """The values that are not in `other`."""
        return Spans(piece for first, last in self for piece in _holes(first, last, other))

    def meeting(self, other: Spans) -> Spans:
        """The values that are in both."""
        return Spans(piece for first, last in self for piece in other.between(first, last))


def _holes(first: int, last: int, other: Spans) -> Iterator[Span]:
    """What `other` leaves of one span."""
    at = first
    for begin, end in other.between(first, last):
        if at < begin:
            yield at, begin - 1
        at = end + 1
    if at <= last:
        yield at, last
