"""A prefix of an address space as cells, each as full as the pools in it together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from ipamd.models.address import IPNetwork
from ipamd.models.pool import Pool
from ipamd.web import cells


@dataclass(frozen=True, slots=True)
class SpaceCell(cells.PrefixCell):
    """A prefix with the pools that have addresses in it."""

    pools: Sequence[Pool]


@dataclass(frozen=True, slots=True)
class Strip:
    """The picture of a prefix of a space: the way to it, and its cells."""

    at: IPNetwork
    trail: Sequence[IPNetwork]
    cells: Sequence[SpaceCell]
    pools: Sequence[Pool]


def smallest_around(pools: Sequence[Pool]) -> IPNetwork:
    """The smallest prefix that has all of some pools, which are in the order of their addresses."""
    first = pools[0].subnet[0]
    differing = int(first) ^ int(pools[-1].subnet[-1])
    return ip_network((first, first.max_prefixlen - differing.bit_length()), strict=False)


def places(pools: Sequence[Pool], at: IPNetwork) -> Iterator[tuple[Pool, range]]:
    """Each pool with the numbers of the cells in which it has addresses.

    A pool lies within one cell, or is made of whole ones.
    """
    parts = cells.prefixes_of(at)
    begin, size = int(at[0]), parts[0].num_addresses
    for pool in pools:
        first = (int(pool.subnet[0]) - begin) // size
        last = (int(pool.subnet[-1]) - begin) // size
        yield pool, range(max(first, 0), min(last, len(parts) - 1) + 1)


def trail_within(at: IPNetwork, pools: Sequence[Pool]) -> list[IPNetwork]:
    """The pictures that lead to a prefix of a space, from the smallest one of all its pools on."""
    whole = smallest_around(pools) if pools else at
    inside = whole.prefixlen <= at.prefixlen and at[0] in whole
    return cells.trail(at, whole) if inside else [at]


def strip(
    at: IPNetwork,
    trail: Sequence[IPNetwork],
    placed: Sequence[tuple[Pool, range]],
    usable: Mapping[tuple[str, int], int],
    taken: Mapping[tuple[str, int], int],
) -> Strip:
    """A picture, of what is usable and taken in each cell of each pool, by the pool's name and the cell."""
    within: dict[int, list[Pool]] = {}
    for pool, numbers in placed:
        for number in numbers:
            within.setdefault(number, []).append(pool)
    made = []
    for number, prefix in enumerate(cells.prefixes_of(at)):
        has = within.get(number, [])
        keys = [(pool.name, number) for pool in has]
        made.append(SpaceCell(prefix, sum(usable[key] for key in keys), sum(taken[key] for key in keys), has))
    return Strip(at, trail, made, [pool for pool, _ in placed])
