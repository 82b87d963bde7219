"""Finds the addresses of a batch in blocks: those that are open, those to search, those to carve."""

from __future__ import annotations

from collections.abc import Sequence, Set
from enum import Enum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from ipamd.addressing.block import OpenBlock
from ipamd.backends.interface import BlockSearch, Locked, Numbered, Whose, WithRoom
from ipamd.engine.allocation.call import BlockWanted
from ipamd.engine.allocation.selection import Wish
from ipamd.engine.catalogue import Catalogue, CatalogueChanged
from ipamd.models.address import AddressRange, IPAddress, address_in
from ipamd.models.block import Block
from ipamd.models.errors import AddressTaken, AddressUnavailable, NothingFree
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState

FIRST_GUESS: Final = 8
"""How many requests of a batch one block is first expected to serve; a second search takes one for each."""

MOST_BLOCKS: Final = 64
"""The most blocks that one search locks."""


CHANGES_HANDS: Final = (Whose.NOBODYS, Whose.EMPTY_OF_OTHERS)
"""Whose blocks belong to a node from the first address on that it takes from them."""


class Place(NamedTuple):
    """An address that was taken for a request."""

    pool: Pool
    block: int
    address: IPAddress


class Absent(Enum):
    """Why an address cannot be taken yet: its block comes with the next search, or others hold it."""

    SEARCHED = "searched"
    ELSEWHERE = "elsewhere"


class Carving(Enum):
    """The step of a search for room at which a new block is carved."""

    STEP = "carve"


Missing = Absent | BlockWanted


class _Room:
    """The blocks of a pool that one kind of search finds for a node, and how that search stands.

    `demand` counts the requests that wait for it; `searched` and `spent` say that it was made and that it
    finds no more; `elsewhere` that others hold what it would find.
    """

    __slots__ = ("demand", "elsewhere", "node", "pool", "searched", "spent", "whose")

    def __init__(self, pool: str, whose: Whose, node: NodeKey | None) -> None:
        self.pool = pool
        self.whose = whose
        self.node = node
        self.demand = 0
        self.searched = self.spent = self.elsewhere = False


class _Way(NamedTuple):
    """Where the addresses of a pool are looked for, in turn; those free since `free_before` are ready."""

    free_before: Instant
    steps: tuple[_Room | Carving, ...]


class Places:
    """The blocks of one batch. Each question is answered from open blocks, or noted for the next search."""

    def __init__(self, catalogue: Catalogue, carved_out: Set[str], now: Instant) -> None:
        self._catalogue = catalogue
        self._carved_out = carved_out
        self._now = now
        self._open: dict[str, dict[int, OpenBlock]] = {}
        self._turns: dict[tuple[str, NodeKey | None], list[tuple[Instant, int]]] = {}
        self._uncarved: set[Numbered] = set()
        self._elsewhere: set[Numbered] = set()
        self._wanted: dict[Numbered, None] = {}
        self._ways: dict[tuple[str, NodeKey | None], _Way] = {}
        self._rooms: dict[tuple[str, Whose, NodeKey | None], _Room] = {}

    def take(self, wish: Wish, node: NodeKey | None) -> Place | Missing:
        """Take an address for a wish, or say what is missing.

        Raises NothingFree, AddressTaken, AddressUnavailable.
        """
        for pool in wish.pools:
            if pool.state is PoolState.DRAINING and not wish.adopted:
                continue
            if wish.place is not None:
                return self._take_at(wish.place, pool, node)
            found = self._take_from(pool, node)
            if found is not None:
                return found
        raise NothingFree(tuple(pool.name for pool in wish.pools))

    def missing(self, pool: str, number: int) -> Absent | None:
        """None when a block is at hand; if it may come with the next search, it is noted for it.

        Raises CatalogueChanged for one that was searched and does not exist: its pool was made anew.
        """
        if number in self._open.get(pool, ()):
            return None
        wanted = Numbered(pool, number)
        if wanted in self._uncarved:
            raise CatalogueChanged
        if wanted in self._elsewhere:
            return Absent.ELSEWHERE
        self._wanted[wanted] = None
        return Absent.SEARCHED

    def give_back(self, pool: str, number: int, address: int) -> None:
        """End the holding of an address of an open block."""
        block = self._open[pool][number]
        block.give_back(address, self._now)
        self._await_turn(block)

    def untake(self, place: Place) -> None:
        """Put back an address whose request gets nothing in this round."""
        block = self._open[place.pool.name][place.block]
        block.untake(int(place.address))
        self._await_turn(block)

    def searches(self) -> list[BlockSearch]:
        """What was noted since the last search."""
        searches: list[BlockSearch] = list(self._wanted)
        searches += [self._search(room) for room in self._rooms.values() if room.demand]
        self._wanted.clear()
        return searches

    def receive(self, searches: Sequence[BlockSearch], locked: Sequence[Locked]) -> None:
        """Open the blocks that a search found, and remember what it did not find."""
        for search, found in zip(searches, locked, strict=True):
            for block in found.blocks:
                self._open_block(block)
            if isinstance(search, Numbered):
                if not found.blocks:
                    (self._elsewhere if found.passed_over else self._uncarved).add(search)
                continue
            room = self._rooms[search.pool, search.whose, search.node]
            room.searched = True
            if len(found.blocks) < search.limit:
                room.elsewhere |= found.passed_over
                room.spent |= not found.passed_over

    def changed(self) -> list[Block]:
        """The blocks to write."""
        return [block.close() for blocks in self._open.values() for block in blocks.values() if block.changed]

    def _search(self, room: _Room) -> WithRoom:
        pool = self._catalogue.pools[room.pool]
        limit = room.demand if room.searched else -(-room.demand // FIRST_GUESS)
        room.demand = 0
        return WithRoom(
            room.pool,
            room.whose,
            room.node,
            self._now - pool.cooldown * SECOND,
            min(limit, MOST_BLOCKS),
            frozenset(self._open.get(room.pool, ())),
        )

    def _take_from(self, pool: Pool, node: NodeKey | None) -> Place | Missing | None:
        """An address that nobody asked for by name; None when the pool has none."""
        owner = node if pool.affinity is Affinity.NODE else None
        way = self._ways.get((pool.name, owner)) or self._way(pool, owner)
        for room in way.steps:
            if isinstance(room, Carving):
                if pool.name not in self._carved_out:
                    return BlockWanted(pool.name, owner)
                continue
            block = self._next_in(room, pool)
            if block is not None:
                since = block.next_free_since
                value = block.take_next(way.free_before)
                if value is not None:
                    self._belong(block, room.whose, owner)
                    if block.next_free_since != since or room.whose in CHANGES_HANDS:
                        self._await_turn(block)
                    return Place(pool, block.block.first, address_in(pool.family, value))
            if room.elsewhere:
                return Absent.ELSEWHERE
            if not room.spent:
                room.demand += 1
                return Absent.SEARCHED
        return None

    def _way(self, pool: Pool, owner: NodeKey | None) -> _Way:
        """Where addresses of a pool are looked for on behalf of a node: the same for the whole batch."""
        steps = tuple(
            step if isinstance(step, Carving) else self._room(pool.name, step, owner)
            for step in _steps(pool, owner)
        )
        way = self._ways[pool.name, owner] = _Way(self._now - pool.cooldown * SECOND, steps)
        return way

    def _room(self, pool: str, whose: Whose, owner: NodeKey | None) -> _Room:
        key = pool, whose, None if whose is Whose.ANYBODYS else owner
        return self._rooms.setdefault(key, _Room(*key))

    def _take_at(self, place: AddressRange, pool: Pool, node: NodeKey | None) -> Place | Missing:
        """An address that must lie in a certain place: a requested one, or one of the holder's own."""
        mask = self._catalogue.mask(pool)
        usable = mask.usable_within(place)
        if not usable:
            raise AddressUnavailable(place.first, mask.why_not(place.first) or f"pool {pool.name} keeps it")
        for number in mask.blocks_meeting(usable):
            if Numbered(pool.name, number) in self._uncarved:
                return BlockWanted(pool.name, node if pool.affinity is Affinity.NODE else None, number)
            missing = self.missing(pool.name, number)
            if missing is not None:
                return missing
            block = self._open[pool.name][number]
            value = block.take_among(usable.bits(number, pool.block_size))
            if value is not None:
                self._await_turn(block)
                return Place(pool, number, address_in(pool.family, value))
        raise AddressTaken(pool.space, place.first)

    def _next_in(self, room: _Room, pool: Pool) -> OpenBlock | None:
        """The open block of a room whose next address has been free longest."""
        opened = self._open.get(room.pool, {})
        if pool.affinity is Affinity.ANY or room.whose in (Whose.OWN, Whose.NOBODYS):
            return self._first_in_turn(room.pool, room.node if room.whose is Whose.OWN else None)
        candidates = [block for block in opened.values() if block.next_free_since is not None]
        if room.whose is Whose.EMPTY_OF_OTHERS:
            candidates = [
                each
                for each in candidates
                if not each.block.allocated and each.block.node not in (None, room.node)
            ]
        return min(candidates, key=lambda block: block.next_free_since or 0, default=None)

    def _first_in_turn(self, pool: str, owner: NodeKey | None) -> OpenBlock | None:
        turns = self._turns.get((pool, owner), [])
        while turns:
            since, number = turns[0]
            block = self._open[pool][number]
            if block.next_free_since == since and self._queue_of(block) == owner:
                return block
            heappop(turns)  # it has changed since, and waits at its new turn
        return None

    def _await_turn(self, block: OpenBlock) -> None:
        since = block.next_free_since
        if since is not None:
            key = block.block.pool, self._queue_of(block)
            heappush(self._turns.setdefault(key, []), (since, block.block.first))

    def _queue_of(self, block: OpenBlock) -> NodeKey | None:
        """The node whose queue a block stands in; without affinity a pool has one queue."""
        affine = self._catalogue.pools[block.block.pool].affinity is Affinity.NODE
        return block.block.node if affine else None

    def _belong(self, block: OpenBlock, step: Whose, owner: NodeKey | None) -> None:
        """A block without a node, or an empty one of another node, changes hands with its first address."""
        if step in CHANGES_HANDS:
            block.block.node = owner

    def _open_block(self, block: Block) -> None:
        pool = self._catalogue.pools.get(block.pool)
        if pool is None or not _belongs(block, pool):
            raise CatalogueChanged
        opened = self._open.setdefault(block.pool, {})
        if block.first not in opened:
            opened[block.first] = OpenBlock(block, self._catalogue.mask(pool).assignable_in(block.first))
            self._await_turn(opened[block.first])


def _belongs(block: Block, pool: Pool) -> bool:
    """Whether a block is one of a pool as it is known here: it may have grown, or been made anew."""
    first, last = int(pool.subnet[0]), int(pool.subnet[-1])
    return block.size == pool.block_size and first <= block.first <= last


def _steps(pool: Pool, owner: NodeKey | None) -> tuple[Whose | Carving, ...]:
    """Where an address of a pool is looked for, in turn."""
    if pool.affinity is Affinity.ANY:
        return Whose.ANYBODYS, Carving.STEP
    if owner is None:
        return Whose.NOBODYS, Carving.STEP, Whose.ANYBODYS
    return Whose.OWN, Whose.NOBODYS, Carving.STEP, Whose.EMPTY_OF_OTHERS, Whose.ANYBODYS
