"""Finds the addresses of a batch in blocks: those that are open, those to search, those to carve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from enum import Enum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from ipamd.addressing.block import OpenBlock
from ipamd.backends.interface import BlockSearch, Locked, Numbered, Whose, WithRoom
from ipamd.engine.call import BlockWanted
from ipamd.engine.catalogue import Catalogue, CatalogueChanged
from ipamd.engine.choice import Wish
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


class Place(NamedTuple):
    """An address that was taken for a request."""

    pool: Pool
    address: IPAddress


class Absent(Enum):
    """Why an address cannot be taken yet: its block comes with the next search, or others hold it."""

    SEARCHED = "searched"
    ELSEWHERE = "elsewhere"


class Carving(Enum):
    """The step of a search for room at which a new block is carved."""

    STEP = "carve"


Missing = Absent | BlockWanted


class _Room(NamedTuple):
    """A search for room, whatever the number of blocks."""

    pool: str
    whose: Whose
    node: NodeKey | None


class Places:
    """The blocks of one batch. Each question is answered from open blocks, or noted for the next search."""

    def __init__(self, catalogue: Catalogue, carved_out: Set[str], now: Instant) -> None:
        self._catalogue = catalogue
        self._carved_out = carved_out
        self._now = now
        self._open: dict[str, dict[int, OpenBlock]] = {}
        self._turns: dict[tuple[str, NodeKey | None], list[tuple[Instant, int]]] = {}
        self._uncarved: set[Numbered] = set()
        self._elsewhere: set[Numbered | _Room] = set()
        self._spent: set[_Room] = set()
        self._searched: set[_Room] = set()
        self._wanted: dict[Numbered, None] = {}
        self._demand: Counter[_Room] = Counter()

    def take(self, wish: Wish, node: NodeKey | None) -> Place | Missing:
        """Take an address for a wish, or say what is missing.

        Raises NothingFree, AddressTaken, AddressUnavailable.
        """
        pools = [pool for pool in wish.pools if wish.adopted or pool.state is not PoolState.DRAINING]
        for pool in pools:
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
        block = self._open[place.pool.name][place.pool.block_of(int(place.address))]
        block.untake(int(place.address))
        self._await_turn(block)

    def searches(self) -> list[BlockSearch]:
        """What was noted since the last search."""
        searches: list[BlockSearch] = list(self._wanted)
        searches += [self._search(room, demand) for room, demand in self._demand.items()]
        self._wanted.clear()
        self._demand.clear()
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
            room = _Room(search.pool, search.whose, search.node)
            self._searched.add(room)
            if len(found.blocks) < search.limit:
                (self._elsewhere if found.passed_over else self._spent).add(room)

    def changed(self) -> list[Block]:
        """The blocks to write."""
        return [block.close() for blocks in self._open.values() for block in blocks.values() if block.changed]

    def _search(self, room: _Room, demand: int) -> WithRoom:
        pool = self._catalogue.pools[room.pool]
        limit = demand if room in self._searched else -(-demand // FIRST_GUESS)
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
        free_before = self._now - pool.cooldown * SECOND
        owner = node if pool.affinity is Affinity.NODE else None
        for step in _steps(pool, owner):
            if isinstance(step, Carving):
                if pool.name not in self._carved_out:
                    return BlockWanted(pool.name, owner)
                continue
            room = _Room(pool.name, step, None if step is Whose.ANYBODYS else owner)
            block = self._next_in(room, pool)
            value = block.take_next(free_before) if block is not None else None
            if block is not None and value is not None:
                self._belong(block, step, owner)
                self._await_turn(block)
                return Place(pool, address_in(pool.family, value))
            if room in self._elsewhere:
                return Absent.ELSEWHERE
            if room not in self._spent:
                self._demand[room] += 1
                return Absent.SEARCHED
        return None

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
                return Place(pool, address_in(pool.family, value))
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
        if step in (Whose.NOBODYS, Whose.EMPTY_OF_OTHERS):
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


def _steps(pool: Pool, owner: NodeKey | None) -> Iterator[Whose | Carving]:
    """Where an address of a pool is looked for, in turn."""
    if pool.affinity is Affinity.ANY:
        return iter((Whose.ANYBODYS, Carving.STEP))
    if owner is None:
        return iter((Whose.NOBODYS, Carving.STEP, Whose.ANYBODYS))
    return iter((Whose.OWN, Whose.NOBODYS, Carving.STEP, Whose.EMPTY_OF_OTHERS, Whose.ANYBODYS))
