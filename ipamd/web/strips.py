"""A prefix of an address space as cells, each as full as the pools in it together. Pure.

A space may have ten thousand pools: what they have together is added up once, in the order of addresses, so
that a cell of many pools is the difference of two sums.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import accumulate

from ipamd.models.address import IPNetwork
from ipamd.models.pool import Pool
from ipamd.web import cells


@dataclass(frozen=True, slots=True)
class SpaceCell(cells.PrefixCell):
    """A prefix, how many pools have addresses in it, and the pool if it is one alone."""

    pool_count: int
    pool: Pool | None


@dataclass(frozen=True, slots=True)
class Strip:
    """The picture of a prefix of a space: the way to it, and its cells."""

    at: IPNetwork
    trail: Sequence[IPNetwork]
    cells: Sequence[SpaceCell]
    pool_count: int


@dataclass(frozen=True, slots=True)
class Place:
    """A cell and its pools: those from `begin` to before `end` lie in it, or it lies in `around`."""

    prefix: cells.CellPrefix
    begin: int
    end: int
    around: Pool | None

    @property
    def bounds(self) -> tuple[int, int]:
        return self.prefix.first, self.prefix.last


class PoolOrder:
    """The pools of a space and a family in the order of their addresses."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = pools
        self._firsts = [int(pool.subnet.network_address) for pool in pools]
        self._lasts = [int(pool.subnet.broadcast_address) for pool in pools]

    @property
    def whole(self) -> IPNetwork | None:
        """The smallest prefix that has all of them, None without pools."""
        if not self.pools:
            return None
        first = self.pools[0].subnet[0]
        differing = int(first) ^ int(self.pools[-1].subnet[-1])
        return ip_network((first, first.max_prefixlen - differing.bit_length()), strict=False)

    def places(self, at: IPNetwork) -> Iterator[Place]:
        """The cells of a picture. Pools and cells are aligned: one of two that meet lies in the other."""
        for prefix in cells.prefixes_of(at):
            begin, end = bisect_left(self._firsts, prefix.first), bisect_right(self._firsts, prefix.last)
            behind = bisect_right(self._firsts, prefix.first)
            near = self.pools[behind - 1] if behind else None
            if (
                near is not None
                and near.subnet.prefixlen < prefix.length
                and self._lasts[behind - 1] >= prefix.last
            ):
                yield Place(prefix, begin, begin, near)
            else:
                yield Place(prefix, begin, end, None)

    def trail(self, at: IPNetwork) -> list[IPNetwork]:
        """The pictures that lead to a prefix, from that of all pools on."""
        whole = self.whole
        inside = whole is not None and whole.prefixlen <= at.prefixlen and at[0] in whole
        return cells.trail(at, whole) if inside and whole is not None else [at]


def sums(counts: Sequence[int]) -> list[int]:
    """For each number of pools from the first on what they have together."""
    return list(accumulate(counts, initial=0))


def strip(
    row: PoolOrder,
    at: IPNetwork,
    usable: Sequence[int],
    taken: Sequence[int],
    in_parts: Mapping[cells.CellPrefix, tuple[int, int]],
) -> Strip:
    """A picture, of what pools have together, and of what is usable and taken in the parts of large ones."""
    made, large = [], set()
    many = 0
    for place in row.places(at):
        if place.around is not None:
            made.append(SpaceCell(place.prefix, *in_parts[place.prefix], 1, place.around))
            large.add(place.around.name)
            continue
        count = place.end - place.begin
        only = row.pools[place.begin] if count == 1 else None
        has, held = (of[place.end] - of[place.begin] for of in (usable, taken))
        made.append(SpaceCell(place.prefix, has, held, count, only))
        many += count
    return Strip(at, row.trail(at), made, many + len(large))
