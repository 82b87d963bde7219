"""The blocks of a pool, adapted to what it may give from now on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ipamd.addressing.block import held_bits, longest_free_since
from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.backends.interface import CatalogueChange
from ipamd.engine.administration.mask_change import MaskChange
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.errors import ReservationConflicts, WouldStrand
from ipamd.models.identity import Owner
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation

MOST_SPANS: Final = 64
"""If a change touches more separate spans than this, it looks at all blocks from the first to the last."""


async def blocks_of(pool: Pool, catalogue: CatalogueChange) -> list[Block]:
    """All blocks of a pool, locked: no batch that has decided by an older catalogue is under way in them."""
    return list(await catalogue.blocks_between(pool.name, pool.first_number, pool.last_number))


async def _touched(pool: Pool, spans: Spans, catalogue: CatalogueChange) -> list[Block]:
    """The blocks that hold any of these numbers, locked."""
    pieces = list(spans)
    if len(pieces) > MOST_SPANS:
        pieces = [(pieces[0][0], pieces[-1][1])]
    found: dict[int, Block] = {}
    for first, last in pieces:
        for block in await catalogue.blocks_between(pool.name, first, last):
            found.setdefault(block.first, block)
    return list(found.values())


async def remask(
    old: Mask,
    new: Mask,
    catalogue: CatalogueChange,
    keeper: Reservation | None = None,
    holds: Collection[str] = (),
) -> None:
    """Adapt the blocks of a pool to its new mask.

    Raises if anybody but `keeper` would lose an address, or one of the `holds` to which it would go back.
    """
    change = MaskChange.between(old, new)
    blocks = await _touched(new.pool, change.touched, catalogue)
    for block in blocks:
        held = held_bits(block)
        await _refuse_stranded(block, held & change.lost.bits(block.first, block.size), new.pool, catalogue)
        if keeper is not None:
            withdrawn = held & change.withdrawn.bits(block.first, block.size)
            await _refuse_others(block, withdrawn, keeper, new.pool, catalogue, holds)
        block.next_free_since = longest_free_since(block, new.assignable_in(block.first))
    lowest = change.gained.next_from(0)
    cursor = new.pool.block_of(lowest) if lowest is not None else None
    if blocks or cursor is not None:
        await catalogue.rewrite(new.pool.name, blocks, cursor)


async def _refuse_stranded(block: Block, held: int, pool: Pool, catalogue: CatalogueChange) -> None:
    for offset in _offsets(held):
        address, holder = await _holder(block.first + offset, pool, catalogue)
        if holder is not None and holder.is_free_seat:
            continue  # its node gives it back
        raise WouldStrand(
            f"{address} is held by {holder.held_by if holder else 'somebody'}, and pool {pool.name} could no "
            "longer give it: release it first"
        )


async def _refuse_others(
    block: Block,
    held: int,
    keeper: Reservation,
    pool: Pool,
    catalogue: CatalogueChange,
    holds: Collection[str],
) -> None:
    for offset in _offsets(held):
        address, holder = await _holder(block.first + offset, pool, catalogue)
        if holder is not None and holder.is_free_seat:
            continue  # its node is told to give it back as soon as it hears of this change
        if holder is not None and holder.hold in holds and not holder.is_left:
            raise ReservationConflicts(
                f"{address} is held by {holder.held_by} out of hold {holder.hold}, to which it goes back: "
                "release the hold first"
            )
        if holder is None or not is_keeper(keeper, holder):
            raise ReservationConflicts(
                f"{address} is held by {holder.held_by if holder else 'somebody'}, not by {keeper.holder}: "
                "release it first"
            )


async def _holder(number: int, pool: Pool, catalogue: CatalogueChange) -> tuple[IPAddress, Allocation | None]:
    address = pool.address_of(number)
    return address, await catalogue.holder_of(pool.space, address)


def _offsets(bits: int) -> Iterator[int]:
    return (offset for offset in range(bits.bit_length()) if bits >> offset & 1)


def is_keeper(reservation: Reservation, holder: Allocation) -> bool:
    """Whether the holder of an allocation is the one of a reservation."""
    if isinstance(holder.holder, Owner):
        return reservation.owner == holder.holder.name
    workload = holder.workload
    return reservation.name is not None and (reservation.namespace, reservation.name) == (
        workload.namespace,
        workload.name,
    )
