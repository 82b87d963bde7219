"""Finds addresses for a batch: which blocks are open, which to search, which to carve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from msgspec import Struct

from ipamd.addressing.block import OpenBlock, spare
from ipamd.backends.interface import BlockId, BlockOwner, BlockSearch, BlocksWithFree, Locked
from ipamd.engine.allocation.block_owners import (
    CHANGES_HANDS,
    CarvingStep,
    not_lent,
    order_of_steps,
    owner_asked,
)
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.allocation.former_addresses import kept, kept_until
from ipamd.engine.allocation.selection import AddressRequest
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import NEVER_HELD, Block
from ipamd.models.errors import AddressTaken, AddressUnavailable, NothingFree
from ipamd.models.former_address import FormerAddress
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState

FIRST_GUESS: Final = 8
"""How many requests of a batch a block is first expected to serve.

A second search takes one block for each.
"""

MOST_BLOCKS: Final = 64
"""The most blocks that one search locks."""


class PickedAddress(Struct, frozen=True):
    """An address that was picked for a request, or a prefix, by its first address."""

    pool: Pool
    block: int
    address: IPAddress
    owned: Allocation | None = None
    """What the owner has whom the request names, if it is that very address."""
    held: Allocation | None = None
    """What a hold has, if it comes out of that. Its block may not be open, and does not change."""
    prefix_length: int | None = None

    @property
    def number(self) -> int:
        """The number of it in its pool, or the first."""
        return self.pool.number_of(self.address)

    @property
    def size(self) -> int:
        """How many numbers of its pool it is."""
        return self.pool.count_of(self.prefix_length)


class NotYet(Enum):
    """Why no address can be picked in this round, although there may be one."""

    SEARCHING = "the next search may find its block"
    CONTENDED = "another transaction holds its block"


class SearchStep:
    """One step: the blocks of a pool that belong to one kind of owner, and how the search for them stands.

    With a `count` it is for blocks in which so many addresses may be free.

    `demand` counts the requests that wait for the step. `searched` says that a search was made, `exhausted`
    that there is nothing more to find, `contended` that other transactions hold what there is.
    """

    __slots__ = ("contended", "count", "demand", "exhausted", "node", "owner", "pool", "searched")

    def __init__(self, pool: str, owner: BlockOwner, node: NodeKey | None, count: int = 1) -> None:
        self.pool = pool
        self.owner = owner
        self.node = node
        self.count = count
        self.demand = 0
        self.searched = self.exhausted = self.contended = False


class _StepOrder(NamedTuple):
    """The steps of a pool in their order. An address that is free since before `free_before` is ready."""

    free_before: Instant
    steps: tuple[SearchStep | CarvingStep, ...]


class BatchBlocks:
    """The blocks that one batch has locked; what they cannot answer is noted for the next search."""

    def __init__(self, catalogue: Catalogue, carved_out: Set[str], clock: Reading) -> None:
        self._catalogue = catalogue
        self._carved_out = carved_out
        self._clock = clock
        self._open: dict[str, dict[int, OpenBlock]] = {}
        self._turns: dict[tuple[str, NodeKey | None], list[tuple[Instant, int]]] = {}
        self._uncarved: set[BlockId] = set()
        self._contended: set[BlockId] = set()
        self._wanted: dict[BlockId, None] = {}
        self._step_orders: dict[tuple[str, NodeKey | None], _StepOrder] = {}
        self._search_steps: dict[tuple[str, BlockOwner, NodeKey | None, int], SearchStep] = {}
        self._handed_over: list[tuple[OpenBlock, NodeKey | None, bool]] = []
        """The blocks that were given to nodes, in turn: whose each was, and whether it had changed."""

    def take(self, request: AddressRequest, node: NodeKey | None) -> PickedAddress | NotYet | NeedsBlock:
        """Pick an address for a request, or say why there is none yet.

        Raises NothingFree, AddressTaken, AddressUnavailable.
        """
        if request.former is not None:
            again = self.take_again(request, node)
            if again is not None:
                return again
        for pool in request.pools:
            if pool.state is PoolState.DRAINING and not request.adopted:
                continue
            if request.place is not None:
                return self._take_at(request.place, request, pool, node)
            found = self.take_from(pool, node)
            if found is not None:
                return found
        raise NothingFree(tuple(pool.name for pool in request.pools))

    def take_again(self, request: AddressRequest, node: NodeKey | None) -> PickedAddress | NotYet | None:
        """Pick what the workload of a request had. None if it cannot have it again, or asks for another."""
        if request.former is None or request.place is not None:
            return None
        return self._take_again(request.former, request, node)

    def lacks(self, pool: str, number: int) -> NotYet | None:
        """Why a block is not at hand, None if it is; the next search looks for one that may be had.

        Raises StaleCatalogue for one that was searched and does not exist: its pool was made anew.
        """
        if number in self._open.get(pool, ()):
            return None
        wanted = BlockId(pool, number)
        if wanted in self._uncarved:
            raise StaleCatalogue
        if wanted in self._contended:
            return NotYet.CONTENDED
        self._wanted[wanted] = None
        return NotYet.SEARCHING

    def give_back(self, row: Allocation) -> None:
        """Release the address of an open block, or all of a prefix."""
        block, pool = self._open[row.pool][row.block], self._catalogue.pools[row.pool]
        first = pool.number_of(row.address)
        for value in range(first, first + pool.count_of(row.prefix_length)):
            block.give_back(value, self._clock.now)
        self._await_turn(block)

    def move(self, row: Allocation, pool: Pool, asking: NodeKey | None) -> None:
        """Let a node hold an address that is allocated in an open block. Raises AddressUnavailable."""
        block = self._open[row.pool][row.block]
        node = asking if pool.affinity is Affinity.NODE else None
        owner = owner_asked(block.block, node)
        if owner is BlockOwner.ANY and not (pool.lends and row.prefix_length is None):
            raise not_lent(row.address, block.block, pool)
        self.note_taken_from(block, owner, node)

    @property
    def hand_overs(self) -> int:
        """How many blocks were given to nodes in this batch, as a mark for `take_back`."""
        return len(self._handed_over)

    def take_back(self, mark: int) -> None:
        """Give the blocks back that were given to nodes since then, for calls that get nothing in this round.

        What was taken of them is put back after that.
        """
        while len(self._handed_over) > mark:
            block, node, changed = self._handed_over.pop()
            block.block.node, block.changed = node, changed
            self._await_turn(block)

    def free_before(self, picked: PickedAddress) -> Instant:
        """Since when a picked address was free."""
        return self._open[picked.pool.name][picked.block].free_before(picked.number)

    def lease(self, picked: PickedAddress) -> Instant:
        """Make a picked address a free seat. Returns since when it was free."""
        return self._open[picked.pool.name][picked.block].lease(picked.number)

    def begin_seat(self, row: Allocation) -> None:
        """Give the address of a free seat to a container."""
        self._open[row.pool][row.block].begin()

    def end_seat(self, row: Allocation, until: Instant) -> None:
        """Make the address of a container a free seat again."""
        self._open[row.pool][row.block].lease_again(until)

    def put_back(self, row: Allocation) -> None:
        """Release what is left of a hold."""
        block = self._open[row.pool][row.block]
        block.put_back(self._number(row), min(row.free_since or NEVER_HELD, self._clock.now))
        self._await_turn(block)

    def give_back_seat(self, row: Allocation) -> None:
        """Release the address of a free seat."""
        block = self._open[row.pool][row.block]
        block.give_back_seat(self._number(row), row.free_since or NEVER_HELD)
        self._await_turn(block)

    def untake(self, picked: PickedAddress) -> None:
        """Put back an address whose request gets nothing in this round."""
        block = self._open[picked.pool.name][picked.block]
        for value in range(picked.number, picked.number + picked.size):
            block.untake(value)
        self._await_turn(block)

    def searches(self) -> list[BlockSearch]:
        """What was noted since the last search."""
        searches: list[BlockSearch] = list(self._wanted)
        searches += [self._search(step) for step in self._search_steps.values() if step.demand]
        self._wanted.clear()
        return searches

    def receive(self, searches: Sequence[BlockSearch], locked: Sequence[Locked]) -> None:
        """Open the blocks that a search found, and remember what it did not find."""
        for search, found in zip(searches, locked, strict=True):
            for block in found.blocks:
                self._open_block(block)
            if isinstance(search, BlockId):
                if not found.blocks:
                    (self._contended if found.passed_over else self._uncarved).add(search)
                continue
            size = self._catalogue.pools[search.pool].block_size
            count = 1 if search.most_allocated is None else size - search.most_allocated
            step = self._search_steps[search.pool, search.owner, search.node, count]
            step.searched = True
            if len(found.blocks) < search.limit:
                step.contended |= found.passed_over
                step.exhausted |= not found.passed_over

    def is_borrowed(self, picked: PickedAddress, node: NodeKey | None) -> bool:
        """Whether a node took an address out of a block that is not its own."""
        if node is None or picked.pool.affinity is Affinity.ANY:
            return False
        return self._open[picked.pool.name][picked.block].block.node != node

    def is_nearly_full(self, picked: PickedAddress) -> bool:
        """Whether an address was the one with which its node's block began to run short."""
        block = self._open[picked.pool.name][picked.block].block
        return block.size - block.allocated == spare(block.size)

    def handed_over(self) -> Iterator[tuple[str, NodeKey | None]]:
        """The pools and nodes that have another block than before, or one less."""
        for pool, blocks in self._open.items():
            for block in blocks.values():
                if block.changed and block.block.node != block.owner:
                    yield from ((pool, block.owner), (pool, block.block.node))

    def changed(self) -> list[Block]:
        """The blocks to write."""
        return [block.close() for blocks in self._open.values() for block in blocks.values() if block.changed]

    def _search(self, step: SearchStep) -> BlocksWithFree:
        pool = self._catalogue.pools[step.pool]
        limit = step.demand if step.searched else -(-step.demand // FIRST_GUESS)
        if step.count > 1:
            limit = MOST_BLOCKS  # in most of those that have enough addresses these are not side by side
        step.demand = 0
        return BlocksWithFree(
            step.pool,
            step.owner,
            step.node,
            self._clock.past(pool.cooldown * SECOND),
            min(limit, MOST_BLOCKS),
            frozenset(self._open.get(step.pool, ())),
            pool.block_size - step.count if step.count > 1 else None,
        )

    def take_from(self, pool: Pool, asking: NodeKey | None) -> PickedAddress | NotYet | NeedsBlock | None:
        """Pick an address, or a prefix of the pool's own length, that nobody asked for by name.

        None if the pool has none.
        """
        node = asking if pool.affinity is Affinity.NODE else None
        order = self._step_orders.get((pool.name, node)) or self._step_order(pool, node)
        opened = self._open.get(pool.name)
        for step in order.steps:
            if isinstance(step, CarvingStep):
                if pool.name not in self._carved_out:
                    return NeedsBlock(pool.name, node)
                continue
            block = self._next_in(step, pool, opened) if opened else None
            if block is not None:
                since = block.next_free_since
                value = block.take_next(order.free_before)
                if value is not None:
                    if step.owner in CHANGES_HANDS:
                        self._hand_over(block, step.owner, node)
                        self._await_turn(block)
                    elif block.next_free_since != since:
                        self._await_turn(block)
                    return self._picked(pool, block, value)
            if step.contended:
                return NotYet.CONTENDED
            if not step.exhausted:
                step.demand += 1
                return NotYet.SEARCHING
        return None

    def _step_order(self, pool: Pool, node: NodeKey | None) -> _StepOrder:
        """The steps for a node that looks in a pool: the same for the whole batch."""
        steps = tuple(
            step if isinstance(step, CarvingStep) else self.step(pool.name, step, node)
            for step in order_of_steps(pool, node)
        )
        order = self._step_orders[pool.name, node] = _StepOrder(
            self._clock.past(pool.cooldown * SECOND), steps
        )
        return order

    def step(self, pool: str, owner: BlockOwner, node: NodeKey | None, count: int = 1) -> SearchStep:
        """One step of a search, as it stands: those who look for the same share it."""
        key = pool, owner, None if owner is BlockOwner.ANY else node, count
        return self._search_steps.setdefault(key, SearchStep(*key))

    def opened(self, pool: str) -> list[OpenBlock]:
        """The open blocks of a pool."""
        return list(self._open.get(pool, {}).values())

    def at(self, pool: str, number: int, node: NodeKey | None) -> OpenBlock | NotYet | NeedsBlock:
        """A certain block, or why it is not at hand."""
        if BlockId(pool, number) in self._uncarved:
            return NeedsBlock(pool, node, number)
        return self.lacks(pool, number) or self._open[pool][number]

    def is_carved_out(self, what: str) -> bool:
        """Whether there is nothing left to carve (`carvable`)."""
        return what in self._carved_out

    def note_taken_from(self, block: OpenBlock, owner: BlockOwner, node: NodeKey | None) -> None:
        """Note that a node has taken addresses of a block that belonged to such an owner."""
        self._hand_over(block, owner, node)
        self._await_turn(block)

    def _take_at(
        self, place: AddressRange, request: AddressRequest, pool: Pool, asking: NodeKey | None
    ) -> PickedAddress | NotYet | NeedsBlock:
        """An address that must lie in a certain place: a requested one, or one of the holder's own."""
        node = asking if pool.affinity is Affinity.NODE else None
        mask, reservation = self._catalogue.mask(pool), request.reservation
        lent: AddressUnavailable | None = None
        usable = mask.usable_within(place)
        if not usable:
            first = max(place.first, pool.subnet[0], key=int)
            why = mask.why_not(first) or f"pool {pool.name} keeps it"
            raise AddressUnavailable(first, why if reservation is None else f"{why}; {reservation.statement}")
        for number in mask.blocks_meeting(usable):
            block = self.at(pool.name, number, node)
            if not isinstance(block, OpenBlock):
                return block
            owner = owner_asked(block.block, node)
            if owner is BlockOwner.ANY and not (pool.lends or request.adopted):
                lent = lent or not_lent(place.first, block.block, pool)
                continue
            bits = usable.bits(number, pool.block_size)
            until = kept_until(block.block, bits, request, mask, self._clock)
            if until is not None:
                raise kept(place.first, pool, until)
            picked = self._take_among(block, bits, pool, node)
            if picked is not None:
                return picked
        if lent is not None:
            raise lent
        raise AddressTaken(pool.space, place.first, reserved=reservation.statement if reservation else None)

    def _take_again(
        self, former: FormerAddress, request: AddressRequest, asking: NodeKey | None
    ) -> PickedAddress | NotYet | None:
        """The address that a workload had, whether it cools down or not. None if it cannot have it again."""
        pool = next((each for each in request.pools if each.name == former.pool), None)
        if pool is None or not pool.sticky or pool.state is PoolState.DRAINING:
            return None
        value = pool.number_of(former.address)
        number = pool.block_of(value)
        if value not in self._catalogue.mask(pool).assignable or BlockId(pool.name, number) in self._uncarved:
            return None
        lacking = self.lacks(pool.name, number)
        if lacking is not None:
            return lacking
        block = self._open[pool.name][number]
        node = asking if pool.affinity is Affinity.NODE else None
        elsewhere = owner_asked(block.block, node) is BlockOwner.ANY and not pool.lends
        if elsewhere or block.block.free_since[value - number] != former.freed:
            return None
        return self._take_among(block, 1 << (value - number), pool, node)

    def _take_among(
        self, block: OpenBlock, bits: int, pool: Pool, node: NodeKey | None
    ) -> PickedAddress | None:
        """The one of these addresses of a block that has been free longest."""
        owner = owner_asked(block.block, node)
        value = block.take_among(bits)
        if value is None:
            return None
        if owner is BlockOwner.NONE or not pool.lends:
            self._hand_over(block, owner, node)
        self._await_turn(block)
        return self._picked(pool, block, value)

    @staticmethod
    def _picked(pool: Pool, block: OpenBlock, value: int) -> PickedAddress:
        address = pool.address_of(value)
        return PickedAddress(pool, block.block.first, address, prefix_length=pool.prefix_length)

    def _number(self, row: Allocation) -> int:
        return self._catalogue.pools[row.pool].number_of(row.address)

    def _next_in(self, step: SearchStep, pool: Pool, opened: Mapping[int, OpenBlock]) -> OpenBlock | None:
        """The open block of a step whose next address has been free longest."""
        if pool.affinity is Affinity.ANY or step.owner in (BlockOwner.OWN, BlockOwner.NONE):
            return self._first_in_turn(pool, step.node if step.owner is BlockOwner.OWN else None, opened)
        candidates = [block for block in opened.values() if block.next_free_since is not None]
        if step.owner is BlockOwner.OTHER_WHILE_EMPTY:
            candidates = [
                each
                for each in candidates
                if not each.block.allocated and each.block.node not in (None, step.node)
            ]
        return min(candidates, key=lambda block: block.next_free_since or 0, default=None)

    def _first_in_turn(
        self, pool: Pool, owner: NodeKey | None, opened: Mapping[int, OpenBlock]
    ) -> OpenBlock | None:
        turns, has_one_queue = self._turns.get((pool.name, owner)), pool.affinity is Affinity.ANY
        while turns:
            since, number = turns[0]
            block = opened[number]
            if block.next_free_since == since and (block.block.node == owner or has_one_queue):
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

    def _hand_over(self, block: OpenBlock, owner: BlockOwner, node: NodeKey | None) -> None:
        """Give a block without a node, or an empty one of another node, to the node that takes from it."""
        if owner in CHANGES_HANDS and block.block.node != node:
            self._handed_over.append((block, block.block.node, block.changed))
            block.block.node, block.changed = node, True

    def _open_block(self, block: Block) -> None:
        pool = self._catalogue.pools.get(block.pool)
        mask = self._catalogue.mask(pool) if pool is not None else None
        if mask is None or not mask.has_block(block):
            raise StaleCatalogue
        opened = self._open.setdefault(block.pool, {})
        if block.first not in opened:
            opened[block.first] = OpenBlock(block, mask.assignable_in(block.first))
            self._await_turn(opened[block.first])
