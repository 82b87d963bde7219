"""The blocks in memory, and in which order a search finds them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import replace

from ipamd.backends.interface import BlockOwner, BlocksWithFree, ConstraintViolated
from ipamd.backends.memory.journal import Journal, RoomEntry
from ipamd.models.block import Block
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey


class Blocks:
    """The blocks of all pools, and for the search those with an address free, longest free first."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[str, dict[int, Block]] = defaultdict(dict)
        self.cursors: dict[str, int] = {}
        self._of_all: dict[str, list[RoomEntry]] = defaultdict(list)
        self._of_node: dict[tuple[str, NodeKey | None], list[RoomEntry]] = defaultdict(list)
        self._empty: dict[str, list[RoomEntry]] = defaultdict(list)

    def get(self, pool: str, first: int) -> Block | None:
        """A copy of one block."""
        block = self.rows[pool].get(first)
        return None if block is None else copy_of(block)

    def search(self, search: BlocksWithFree) -> list[Block]:
        """Copies of the blocks that a search means."""
        found: list[Block] = []
        for since, first in self._some_with_free(search):
            if since > search.free_before or len(found) == search.limit:
                break
            block = self.rows[search.pool][first]
            if search.most_allocated is not None and block.allocated > search.most_allocated:
                continue
            foreign = search.owner is not BlockOwner.OTHER_WHILE_EMPTY or block.node != search.node
            if first not in search.but_not and foreign:
                found.append(copy_of(block))
        return found

    def _some_with_free(self, search: BlocksWithFree) -> list[RoomEntry]:
        rooms = self._rooms_for(search)
        if search.most_allocated is None:
            return rooms
        return sorted(rooms, key=lambda entry: (entry[0], -entry[1]))

    def _rooms_for(self, search: BlocksWithFree) -> list[RoomEntry]:
        match search.owner:
            case BlockOwner.ANY:
                return self._of_all[search.pool]
            case BlockOwner.OWN:
                return self._of_node[search.pool, search.node]
            case BlockOwner.NONE:
                return self._of_node[search.pool, None]
            case BlockOwner.OTHER_WHILE_EMPTY:
                return self._empty[search.pool]

    def between(self, pool: str, first: int, last: int) -> list[Block]:
        """Copies of the blocks that hold any address from `first` to `last`, in their order."""
        rows = self.rows[pool].values()
        hit = [copy_of(block) for block in rows if block.first <= last and block.first + block.size > first]
        return sorted(hit, key=lambda block: block.first)

    def add(self, block: Block) -> bool:
        """Add a block unless it exists; whether it is new."""
        if block.first in self.rows[block.pool]:
            return False
        self._put(block)
        return True

    def write(self, block: Block) -> None:
        """Write back a block."""
        before = self.rows[block.pool].get(block.first)
        if before is None:
            raise ConstraintViolated(f"pool {block.pool} has no block {block.first}")
        for room, entry in self._rooms_of(before):
            self.journal.delete(room, entry)
        self._put(block)

    def _put(self, block: Block) -> None:
        kept = copy_of(block)
        self.journal.put(self.rows[block.pool], block.first, kept)
        for room, entry in self._rooms_of(kept):
            self.journal.insert(room, entry)

    def _rooms_of(self, block: Block) -> list[tuple[list[RoomEntry], RoomEntry]]:
        if block.next_free_since is None:
            return []
        entry = (block.next_free_since, block.first)
        rooms = [self._of_all[block.pool], self._of_node[block.pool, block.node]]
        if block.node is not None and block.allocated == 0:
            rooms.append(self._empty[block.pool])
        return [(room, entry) for room in rooms]

    def forget(self, pool: str) -> None:
        """Drop a pool's blocks and its cursor."""
        for block in list(self.rows[pool].values()):
            for room, entry in self._rooms_of(block):
                self.journal.delete(room, entry)
            self.journal.drop(self.rows[pool], block.first)
        self.journal.drop(self.cursors, pool)

    def longest_free(self, pool: str) -> Instant | None:
        """Since when the pool's next address is free."""
        room = self._of_all[pool]
        return room[0][0] if room else None


def copy_of(block: Block) -> Block:
    """A block that can be changed without changing this one."""
    return replace(block, free_since=array("q", block.free_since))
