"""Blocks: the aligned piece of a pool that is locked, read and written as one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

HELD: Final = (1 << 63) - 1
"""In `Block.free_since`: this address is allocated."""

NEVER_HELD: Final = 0
"""In `Block.free_since`: nobody has had this address, so it has been free longer than any other."""


@dataclass(slots=True, eq=True)
class Block:
    """What one block knows of its addresses: its past only, never what the pool's rules make of it.

    `first` is its number and the value of its first address; `free_since` has an instant for each of its
    addresses (`HELD`, `NEVER_HELD`); `allocated` counts the held ones; `last_freed` is the latest of the
    instants. `next_free_since` is the one exception, kept for the search: since when the address that
    may be handed out next is free, None if there is none.
    """

    pool: str
    first: int
    node: NodeKey | None
    free_since: array[int]
    allocated: int
    last_freed: Instant
    next_free_since: Instant | None

    @property
    def size(self) -> int:
        return len(self.free_since)


def new_block(pool: str, first: int, size: int, node: NodeKey | None) -> Block:
    """A block nobody has had an address of."""
    return Block(pool, first, node, array("q", bytes(8 * size)), 0, NEVER_HELD, NEVER_HELD)
