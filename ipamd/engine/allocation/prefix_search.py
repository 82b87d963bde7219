"""Finds prefixes for a batch: aligned neighbours of one block, all of them free."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

from ipamd.addressing.block import OpenBlock
from ipamd.addressing.mask import Mask
from ipamd.backends.interface import BlockOwner
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.address_search import AddressSearch
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.block_owners import CarvingStep, not_lent, order_of_steps, owner_asked
from ipamd.engine.allocation.call import NeedsBlock, carvable
from ipamd.engine.allocation.certain_place import Part, parts_of
from ipamd.engine.allocation.former_addresses import kept, kept_until
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.address import AddressRange
from ipamd.models.block import HELD
from ipamd.models.errors import AddressTaken, AddressUnavailable
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState

FREE: Final = HELD - 1
"""Free since whenever: what is asked for by its address may be had while it cools down."""


class PrefixSearch:
    """Looks for prefixes in the blocks of a batch, in the order in which addresses are looked for."""

    def __init__(
        self,
        blocks: BatchBlocks,
        addresses: AddressSearch,
        catalogue: Catalogue,
        carved_out: Set[str],
        clock: Reading,
    ) -> None:
        self._blocks = blocks
        self._addresses = addresses
        self._catalogue = catalogue
        self._carved_out = carved_out
        self._clock = clock

    def take(
        self, request: AddressRequest, length: int, node: NodeKey | None
    ) -> PickedAddress | NotYet | NeedsBlock:
        """Pick a prefix for a request, or say why there is none yet.

        Raises NothingFree, AddressTaken, AddressUnavailable.
        """
        for pool in request.pools:
            if pool.state is PoolState.DRAINING and not request.adopted:
                continue
            if request.place is not None:
                return self._take_at(request.place, request, pool, length, node)
            found = self._take_from(pool, length, node)
            if found is not None:
                return found
        raise request.nothing_free

    def _take_from(
        self, pool: Pool, length: int, asking: NodeKey | None
    ) -> PickedAddress | NotYet | NeedsBlock | None:
        """A prefix that nobody asked for by its address; None if the pool has none.

        A block is carved as soon as many have been looked into in vain. Only if none is left to carve are
        all looked into.
        """
        count = pool.count_of(length)
        if count == 1:
            return self._addresses.take_from(pool, asking)
        node = asking if pool.affinity is Affinity.NODE else None
        free_before = self._clock.past(pool.cooldown * SECOND)
        is_carved_out = carvable(pool.name, count) in self._carved_out
        for each in order_of_prefix_steps(pool, node):
            if isinstance(each, CarvingStep):
                if not is_carved_out:
                    return NeedsBlock(pool.name, node, count=count)
                continue
            for block in self._opened(pool, each, node):
                assignable = self._catalogue.mask(pool).assignable_in(block.block.first)
                value = block.take_prefix(assignable, count, free_before)
                if value is not None:
                    return self._picked(block, value, pool, length, each, node)
            step = self._blocks.noted.step(pool.name, each, node, count)
            if step.contended:
                return NotYet.CONTENDED
            if not (step.exhausted or (step.searched and not is_carved_out)):
                step.demand += 1
                return NotYet.SEARCHING
        return None

    def _opened(self, pool: Pool, owner: BlockOwner, node: NodeKey | None) -> Iterable[OpenBlock]:
        """The open blocks of a step, those that have been free longest first, and of equals the last."""
        opened = [
            block
            for block in self._blocks.opened.get(pool.name, {}).values()
            if block.next_free_since is not None
            and (owner is BlockOwner.ANY or owner_asked(block.block, node) is owner)
        ]
        return sorted(opened, key=lambda block: (block.next_free_since or 0, -block.block.first))

    def _take_at(
        self, place: AddressRange, request: AddressRequest, pool: Pool, length: int, asking: NodeKey | None
    ) -> PickedAddress | NotYet | NeedsBlock:
        """A prefix that must lie in a certain place: a requested one, or one of the holder's reservation."""
        node = asking if pool.affinity is Affinity.NODE else None
        mask, count = self._catalogue.mask(pool), pool.count_of(length)
        usable = mask.usable_within(place)
        taken = lent = None
        for part in parts_of(usable, mask, node, self._blocks):
            if not isinstance(part, Part):
                return part
            block, owner, bits = part
            if owner is BlockOwner.ANY and not (_lends_prefixes(pool, node) or request.adopted):
                lent = not_lent(place.first, block.block, pool)
                continue
            until = self._kept_until(block, bits, request, mask)
            if until is not None:
                raise kept(place.first, pool, until)
            value = block.take_prefix(bits, count, FREE)
            if value is not None:
                return self._picked(block, value, pool, length, owner, node)
            taken = taken if taken is not None else block.first_held(bits)
        if taken is None and lent is not None:
            raise lent
        if taken is None:
            raise AddressUnavailable(place.first, f"no /{length} of {place} may be had by a holder")
        reserved = request.reservation.statement if request.reservation else None
        raise AddressTaken(pool.space, pool.address_of(taken), reserved=reserved)

    def _kept_until(self, block: OpenBlock, bits: int, request: AddressRequest, mask: Mask) -> Instant | None:
        """Until when a sticky pool keeps some part of a requested prefix, None if it keeps none."""
        if not mask.pool.sticky:
            return None
        each = (1 << offset for offset in range(block.block.size) if bits >> offset & 1)
        moments = (kept_until(block.block, bit, request, mask, self._clock) for bit in each)
        return max((until for until in moments if until is not None), default=None)

    def _picked(
        self, block: OpenBlock, value: int, pool: Pool, length: int, owner: BlockOwner, node: NodeKey | None
    ) -> PickedAddress:
        self._blocks.take_over(block, owner, node)
        return PickedAddress(pool, block.block.first, pool.address_of(value), prefix_length=length)


def _lends_prefixes(pool: Pool, node: NodeKey | None) -> bool:
    """Whether a prefix may be taken out of a block that is another node's: never for a node."""
    return pool.affinity is Affinity.ANY or (node is None and pool.lends)


def order_of_prefix_steps(pool: Pool, node: NodeKey | None) -> tuple[BlockOwner | CarvingStep, ...]:
    """Whose blocks a node looks into for a prefix: those for an address, but what is lent is lent singly."""
    steps = order_of_steps(pool, node)
    if pool.affinity is Affinity.ANY:
        return steps
    return tuple(step for step in steps if step is not BlockOwner.ANY)
