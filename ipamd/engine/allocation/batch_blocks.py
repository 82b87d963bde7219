"""The blocks that one batch has locked, and what its calls change in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ipamd.addressing.block import OpenBlock, spare
from ipamd.backends.interface import BlockId, BlockOwner, BlockSearch, Locked
from ipamd.engine.allocation.block_owners import CHANGES_HANDS, not_lent, owner_asked
from ipamd.engine.allocation.block_search import BatchSearches
from ipamd.engine.allocation.block_turns import BlockTurns
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation
from ipamd.models.block import NEVER_HELD, Block
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool


class BatchBlocks:
    """The open blocks of a batch, by pool and number; others are noted for the next search."""

    def __init__(self, catalogue: Catalogue, clock: Reading) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self.opened: dict[str, dict[int, OpenBlock]] = {}
        self.turns = BlockTurns(catalogue)
        self.noted = BatchSearches(catalogue, clock)
        self._handed_over: list[tuple[OpenBlock, NodeKey | None, bool]] = []
        """The blocks that were given to nodes, in turn: whose each was, and whether it had changed."""

    def lacks(self, pool: str, number: int) -> NotYet | None:
        """Why a block is not at hand, None if it is; the next search looks for one that may be had.

        Raises StaleCatalogue for one that was searched and does not exist: its pool was made anew.
        """
        return None if number in self.opened.get(pool, ()) else self.noted.want(BlockId(pool, number))

    def at(self, pool: str, number: int, node: NodeKey | None) -> OpenBlock | NotYet | NeedsBlock:
        """A certain block, or why it is not at hand."""
        if self.noted.is_uncarved(BlockId(pool, number)):
            return NeedsBlock(pool, node, number)
        return self.lacks(pool, number) or self.opened[pool][number]

    def searches(self) -> list[BlockSearch]:
        """What was noted since the last search."""
        return self.noted.searches(self.opened)

    def receive(self, searches: Sequence[BlockSearch], locked: Sequence[Locked]) -> None:
        """Open the blocks that a search found, and remember what it did not find."""
        for search, found in zip(searches, locked, strict=True):
            for block in found.blocks:
                self._open_block(block)
            self.noted.receive(search, found)

    def _open_block(self, block: Block) -> None:
        pool = self._catalogue.pools.get(block.pool)
        mask = self._catalogue.mask(pool) if pool is not None else None
        if mask is None or not mask.has_block(block):
            raise StaleCatalogue
        opened = self.opened.setdefault(block.pool, {})
        if block.first not in opened:
            opened[block.first] = OpenBlock(block, mask.assignable_in(block.first))
            self.turns.wait(opened[block.first])

    def untake(self, picked: PickedAddress) -> None:
        """Put back an address whose request gets nothing in this round."""
        block = self._block_of(picked)
        for value in range(picked.number, picked.number + picked.size):
            block.untake(value)
        self.turns.wait(block)

    def give_back(self, row: Allocation) -> None:
        """Release the address of an open block, or all of a prefix."""
        block, pool = self.opened[row.pool][row.block], self._catalogue.pools[row.pool]
        first = pool.number_of(row.address)
        for value in range(first, first + pool.count_of(row.prefix_length)):
            block.give_back(value, self._clock.now)
        self.turns.wait(block)

    def put_back(self, row: Allocation) -> None:
        """Release what is left of a hold."""
        block = self.opened[row.pool][row.block]
        block.put_back(self._number(row), min(row.free_since or NEVER_HELD, self._clock.now))
        self.turns.wait(block)

    def free_before(self, picked: PickedAddress) -> Instant:
        """Since when a picked address was free."""
        return self._block_of(picked).free_before(picked.number)

    def lease(self, picked: PickedAddress) -> Instant:
        """Make a picked address a free seat. Returns since when it was free."""
        return self._block_of(picked).lease(picked.number)

    def begin_seat(self, row: Allocation) -> None:
        """Give the address of a free seat to a container."""
        self.opened[row.pool][row.block].begin()

    def end_seat(self, row: Allocation, until: Instant) -> None:
        """Make the address of a container a free seat again."""
        self.opened[row.pool][row.block].lease_again(until)

    def give_back_seat(self, row: Allocation) -> None:
        """Release the address of a free seat."""
        block = self.opened[row.pool][row.block]
        block.give_back_seat(self._number(row), row.free_since or NEVER_HELD)
        self.turns.wait(block)

    def move(self, row: Allocation, pool: Pool, asking: NodeKey | None) -> None:
        """Let a node hold an address that is allocated in an open block. Raises AddressUnavailable."""
        block = self.opened[row.pool][row.block]
        node = asking if pool.affinity is Affinity.NODE else None
        owner = owner_asked(block.block, node)
        if owner is BlockOwner.ANY and not (pool.lends and row.prefix_length is None):
            raise not_lent(row.address, block.block, pool)
        self.take_over(block, owner, node)

    def take_over(self, block: OpenBlock, owner: BlockOwner, node: NodeKey | None) -> None:
        """Note that a node has taken of a block, which belonged to such an owner.

        One without a node, or an empty one of another node, becomes the node's.
        """
        if owner in CHANGES_HANDS and block.block.node != node:
            self._handed_over.append((block, block.block.node, block.changed))
            block.block.node, block.changed = node, True
        self.turns.wait(block)

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
            self.turns.wait(block)

    def is_borrowed(self, picked: PickedAddress, node: NodeKey | None) -> bool:
        """Whether a node took an address out of a block that is not its own."""
        if node is None or picked.pool.affinity is Affinity.ANY:
            return False
        return self._block_of(picked).block.node != node

    def is_nearly_full(self, picked: PickedAddress) -> bool:
        """Whether an address was the one with which its node's block began to run short."""
        block = self._block_of(picked).block
        return block.size - block.allocated == spare(block.size)

    def handed_over(self) -> Iterator[tuple[str, NodeKey | None]]:
        """The pools and nodes that have another block than before, or one less."""
        for pool, blocks in self.opened.items():
            for block in blocks.values():
                if block.changed and block.block.node != block.owner:
                    yield from ((pool, block.owner), (pool, block.block.node))

    def changed(self) -> list[Block]:
        """The blocks to write."""
        return [
            block.close() for blocks in self.opened.values() for block in blocks.values() if block.changed
        ]

    def _block_of(self, picked: PickedAddress) -> OpenBlock:
        return self.opened[picked.pool.name][picked.block]

    def _number(self, row: Allocation) -> int:
        return self._catalogue.pools[row.pool].number_of(row.address)
