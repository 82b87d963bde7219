"""Picks addresses for a batch: which pool, whose block, which of its addresses, and when to carve."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from ipamd.addressing.block import OpenBlock
from ipamd.backends.interface import BlockOwner
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.block_owners import (
    CHANGES_HANDS,
    CarvingStep,
    not_lent,
    order_of_steps,
    owner_asked,
)
from ipamd.engine.allocation.block_search import SearchStep
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.allocation.certain_place import Part, parts_of
from ipamd.engine.allocation.former_addresses import kept, kept_until
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.address import AddressRange
from ipamd.models.errors import AddressTaken, AddressUnavailable
from ipamd.models.former_address import FormerAddress
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState


class _StepOrder(NamedTuple):
    """The steps of a pool in their order. An address that is free since before `free_before` is ready."""

    free_before: Instant
    steps: tuple[SearchStep | CarvingStep, ...]


class AddressSearch:
    """Looks for addresses in the blocks of a batch. `carved_out` names what has nothing left to carve."""

    def __init__(
        self, blocks: BatchBlocks, catalogue: Catalogue, carved_out: Set[str], clock: Reading
    ) -> None:
        self._blocks = blocks
        self._catalogue = catalogue
        self._carved_out = carved_out
        self._clock = clock
        self._orders: dict[tuple[str, NodeKey | None], _StepOrder] = {}

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
        raise request.nothing_free

    def take_again(self, request: AddressRequest, node: NodeKey | None) -> PickedAddress | NotYet | None:
        """Pick what the workload of a request had. None if it cannot have it again, or asks for another."""
        if request.former is None or request.place is not None:
            return None
        return self._take_again(request.former, request, node)

    def take_from(self, pool: Pool, asking: NodeKey | None) -> PickedAddress | NotYet | NeedsBlock | None:
        """Pick an address, or a prefix of the pool's own length, that nobody asked for by name.

        None if the pool has none.
        """
        node = asking if pool.affinity is Affinity.NODE else None
        order = self._orders.get((pool.name, node)) or self._order(pool, node)
        blocks = self._blocks
        opened = blocks.opened.get(pool.name)
        for step in order.steps:
            if isinstance(step, CarvingStep):
                if pool.name not in self._carved_out:
                    return NeedsBlock(pool.name, node)
                continue
            block = blocks.turns.next_in(step, pool, opened) if opened else None
            if block is not None:
                since = block.next_free_since
                value = block.take_next(order.free_before)
                if value is not None:
                    if step.owner in CHANGES_HANDS:
                        blocks.take_over(block, step.owner, node)
                    elif block.next_free_since != since:
                        blocks.turns.wait(block)
                    return _picked(pool, block, value)
            if step.contended:
                return NotYet.CONTENDED
            if not step.exhausted:
                step.demand += 1
                return NotYet.SEARCHING
        return None

    def _order(self, pool: Pool, node: NodeKey | None) -> _StepOrder:
        """The steps for a node that looks in a pool: the same for the whole batch."""
        steps = tuple(
            step if isinstance(step, CarvingStep) else self._blocks.noted.step(pool.name, step, node)
            for step in order_of_steps(pool, node)
        )
        order = self._orders[pool.name, node] = _StepOrder(self._clock.past(pool.cooldown * SECOND), steps)
        return order

    def _take_at(
        self, place: AddressRange, request: AddressRequest, pool: Pool, asking: NodeKey | None
    ) -> PickedAddress | NotYet | NeedsBlock:
        """An address that must lie in a certain place: a requested one, or one of the holder's own."""
        node = asking if pool.affinity is Affinity.NODE else None
        mask, reservation = self._catalogue.mask(pool), request.reservation
        usable = mask.usable_within(place)
        if not usable:
            first = max(place.first, pool.subnet[0], key=int)
            why = mask.why_not(first) or f"pool {pool.name} keeps it"
            raise AddressUnavailable(first, why if reservation is None else f"{why}; {reservation.statement}")
        lent: AddressUnavailable | None = None
        for part in parts_of(usable, mask, node, self._blocks):
            if not isinstance(part, Part):
                return part
            if part.owner is BlockOwner.ANY and not (pool.lends or request.adopted):
                lent = lent or not_lent(place.first, part.block.block, pool)
                continue
            until = kept_until(part.block.block, part.bits, request, mask, self._clock)
            if until is not None:
                raise kept(place.first, pool, until)
            picked = self._take_among(part, pool, node)
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
        if value not in self._catalogue.mask(pool).assignable:
            return None
        node = asking if pool.affinity is Affinity.NODE else None
        block = self._blocks.at(pool.name, number, node)
        if not isinstance(block, OpenBlock):
            return block if isinstance(block, NotYet) else None
        owner = owner_asked(block.block, node)
        elsewhere = owner is BlockOwner.ANY and not pool.lends
        if elsewhere or block.block.free_since[value - number] != former.freed:
            return None
        return self._take_among(Part(block, owner, 1 << (value - number)), pool, node)

    def _take_among(self, part: Part, pool: Pool, node: NodeKey | None) -> PickedAddress | None:
        """The one of the addresses of a part that has been free longest."""
        value = part.block.take_among(part.bits)
        if value is None:
            return None
        if part.owner is BlockOwner.NONE or not pool.lends:
            self._blocks.take_over(part.block, part.owner, node)
        else:
            self._blocks.turns.wait(part.block)
        return _picked(pool, part.block, value)


def _picked(pool: Pool, block: OpenBlock, value: int) -> PickedAddress:
    return PickedAddress(pool, block.block.first, pool.address_of(value), prefix_length=pool.prefix_length)
