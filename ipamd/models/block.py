"""Blocks: aligned pieces of a pool, each locked, read and written as one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

HELD: Final = (1 << 63) - 1
"""In `Block.free_since`: the address is allocated."""

NEVER_HELD: Final = 0
"""In `Block.free_since`: nobody has had the address. So it has been free longer than any other."""


@dataclass(slots=True, eq=True)
class Block:
    """The past of a block's addresses, without the rules of its pool.

    `first` is its number, that of its first address (`Pool.number_of`). `free_since` has an instant
    for each address, or `HELD` or `NEVER_HELD`. `allocated` counts the held addresses. `last_freed` is the
    latest of the instants. `next_free_since` alone depends on the rules, for the search: since when the
    address that may be given next is free, None if there is none. `leased` counts those of the held addresses
    that are nodes' free seats. In a pool of prefixes all this is about prefixes.
    """

    pool: str
    first: int
    node: NodeKey | None
    free_since: array[int]
    allocated: int
    last_freed: Instant
    next_free_since: Instant | None
    leased: int = 0

    @property
    def size(self) -> int:
        return len(self.free_since)


def new_block(pool: str, first: int, size: int, node: NodeKey | None) -> Block:
    """A block that nobody has had an address of."""
    return Block(pool, first, node, array("q", bytes(8 * size)), 0, NEVER_HELD, NEVER_HELD)
