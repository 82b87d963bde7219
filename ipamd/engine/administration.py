"""Changes of pools, reservations and nodes, one after another, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from ipamd.addressing.block import held_bits, longest_free_since
from ipamd.addressing.mask import Mask, meets
from ipamd.addressing.ranges import Spans
from ipamd.backends.interface import Catalogue
from ipamd.engine.change import MaskChange, overlapping, refuse_overlap, validate, validate_edit
from ipamd.engine.changing import Changing
from ipamd.models.address import IPAddress, address_in
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import (
    InvalidValue,
    NotFound,
    PoolExists,
    PoolInUse,
    ReservationConflicts,
    StaleRevision,
    WouldStrand,
)
from ipamd.models.identity import Owner
from ipamd.models.node import Node, NodeKey
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation

MOST_SPANS: Final = 64
"""A change that touches more separate spans than this looks at all blocks from the first to the last."""


class Administration(Changing):
    """What admins may change; a method answers when its change is durable and holds for every later batch."""

    async def create_pool(self, pool: Pool) -> Pool:
        """Add a pool; raises InvalidValue, PoolExists, PoolOverlaps."""
        validate(pool)

        async def create(catalogue: Catalogue) -> Pool:
            revision, snapshot = await self._begin(catalogue)
            if pool.name in snapshot.pools:
                raise PoolExists(f"there is a pool {pool.name!r} already: choose another name, or edit it")
            refuse_overlap(pool, snapshot.pools.values())
            made = replace(pool, revision=revision)
            await catalogue.save(made)
            return made

        return await self._change(create)

    async def edit_pool(self, name: str, edit: Callable[[Pool], Pool], expected: int | None) -> Pool:
        """Replace a pool by what `edit` makes of it, if it stands at revision `expected` (None: at any).

        Raises NotFound, StaleRevision, InvalidValue, PoolOverlaps, WouldStrand, and what `edit` raises.
        """

        async def change(catalogue: Catalogue) -> Pool:
            revision, snapshot = await self._begin(catalogue)
            old = _entry(snapshot.pools.get(name), "pool", name, expected)
            new = replace(edit(old), revision=revision)
            validate(new)
            validate_edit(old, new)
            refuse_overlap(new, snapshot.pools.values())
            if new.block_length != old.block_length and await _blocks(old, catalogue):
                raise InvalidValue("block_size", "it is fixed once an address of the pool was given out")
            reservations = snapshot.reservations.values()
            await _remask(Mask(old, reservations), Mask(new, reservations), catalogue)
            await catalogue.save(new)
            return new

        return await self._change(change)

    async def delete_pool(self, name: str, expected: int | None) -> None:
        """Remove a pool of which nothing is held; raises NotFound, StaleRevision, PoolInUse."""

        async def delete(catalogue: Catalogue) -> None:
            _, snapshot = await self._begin(catalogue)
            pool = _entry(snapshot.pools.get(name), "pool", name, expected)
            held = sum(block.allocated for block in await _blocks(pool, catalogue))
            if held:
                raise PoolInUse(f"pool {name} has {held} addresses allocated: drain it, or release them")
            await catalogue.remove(pool)

        await self._change(delete)

    async def create_reservation(self, reservation: Reservation) -> Reservation:
        """Keep addresses for a holder; raises ReservationConflicts. Its id is given here."""

        async def create(catalogue: Catalogue) -> Reservation:
            revision, snapshot = await self._begin(catalogue)
            made = replace(reservation, id=revision, revision=revision)
            other = overlapping(made, snapshot.reservations.values())
            if other is not None:
                raise ReservationConflicts(
                    f"{made.addresses} overlaps {other.addresses}, which is reserved for {other.holder}"
                )
            await _rereserve(snapshot, {**snapshot.reservations, made.id: made}, made, catalogue)
            await catalogue.save(made)
            return made

        return await self._change(create)

    async def delete_reservation(self, reservation: int, expected: int | None = None) -> None:
        """Give reserved addresses back to everybody; raises NotFound, StaleRevision."""

        async def delete(catalogue: Catalogue) -> None:
            _, snapshot = await self._begin(catalogue)
            entry = snapshot.reservations.get(reservation)
            gone = _entry(entry, "reservation", str(reservation), expected)
            kept = {number: each for number, each in snapshot.reservations.items() if number != gone.id}
            await _rereserve(snapshot, kept, gone, catalogue)
            await catalogue.remove(gone)

        await self._change(delete)

    async def save_node(self, node: Node, expected: int | None = None) -> Node:
        """Set a node's labels; raises StaleRevision."""

        async def save(catalogue: Catalogue) -> Node:
            revision, snapshot = await self._begin(catalogue)
            if expected is not None:
                _entry(snapshot.nodes.get(node.key), "node", node.name, expected)
            known = snapshot.nodes.get(node.key)
            saved = replace(node, proof=known.proof if known is not None else None, revision=revision)
            await catalogue.save(saved)
            return saved

        return await self._change(save)

    async def delete_node(self, key: NodeKey, expected: int | None = None) -> None:
        """Forget a node: its labels, that it joined, its tokens. Raises NotFound, StaleRevision."""

        async def delete(catalogue: Catalogue) -> None:
            _, snapshot = await self._begin(catalogue)
            tokens = [token for token in snapshot.tokens.values() if token.node_key == key]
            node = snapshot.nodes.get(key)
            if node is not None or not tokens or expected is not None:
                await catalogue.remove(_entry(node, "node", key.name, expected))
            for token in tokens:
                await catalogue.remove(token)

        await self._change(delete)


Entry = TypeVar("Entry", Pool, Reservation, Node)


def _entry(entry: Entry | None, what: str, name: str, expected: int | None) -> Entry:
    """An entry that must exist, at the revision that its editor saw."""
    if entry is None:
        raise NotFound(what, name)
    if expected is not None and entry.revision != expected:
        raise StaleRevision(f"{what} {name!r} has changed since you read it: read it again, then change it")
    return entry


async def _blocks(pool: Pool, catalogue: Catalogue) -> list[Block]:
    return list(await catalogue.blocks_between(pool.name, int(pool.subnet[0]), int(pool.subnet[-1])))


async def _touched(pool: Pool, spans: Spans, catalogue: Catalogue) -> list[Block]:
    """The blocks that hold any of these addresses, locked."""
    pieces = list(spans)
    if len(pieces) > MOST_SPANS:
        pieces = [(pieces[0][0], pieces[-1][1])]
    found: dict[int, Block] = {}
    for first, last in pieces:
        for block in await catalogue.blocks_between(pool.name, first, last):
            found.setdefault(block.first, block)
    return list(found.values())


async def _remask(old: Mask, new: Mask, catalogue: Catalogue, keeper: Reservation | None = None) -> None:
    """Make a pool's blocks fit its new mask; raises where somebody else than `keeper` would be left out."""
    change = MaskChange.between(old, new)
    blocks = await _touched(new.pool, change.touched, catalogue)
    for block in blocks:
        held = held_bits(block)
        await _refuse_stranded(block, held & change.lost.bits(block.first, block.size), new.pool, catalogue)
        if keeper is not None:
            withdrawn = held & change.withdrawn.bits(block.first, block.size)
            await _refuse_others(block, withdrawn, keeper, new.pool, catalogue)
        block.next_free_since = longest_free_since(block, new.assignable_in(block.first))
    lowest = change.gained.next_from(0)
    cursor = new.pool.block_of(lowest) if lowest is not None else None
    if blocks or cursor is not None:
        await catalogue.rewrite(new.pool.name, blocks, cursor)


async def _rereserve(
    snapshot: Snapshot, reservations: dict[int, Reservation], about: Reservation, catalogue: Catalogue
) -> None:
    """Make the pools that a reservation touches fit the new list of reservations."""
    # By name, for that is the order in which whoever waits for blocks of several pools locks them.
    for _, pool in sorted(snapshot.pools.items()):
        if meets(about.addresses, pool, about.space):
            old, new = Mask(pool, snapshot.reservations.values()), Mask(pool, reservations.values())
            await _remask(old, new, catalogue, about)


async def _refuse_stranded(block: Block, held: int, pool: Pool, catalogue: Catalogue) -> None:
    for offset in _offsets(held):
        address, holder = await _holder(block.first + offset, pool, catalogue)
        raise WouldStrand(
            f"{address} is held by {holder.held_by if holder else 'somebody'} and would lie outside "
            f"what pool {pool.name} may hand out: release it first"
        )


async def _refuse_others(
    block: Block, held: int, keeper: Reservation, pool: Pool, catalogue: Catalogue
) -> None:
    for offset in _offsets(held):
        address, holder = await _holder(block.first + offset, pool, catalogue)
        if holder is None or not is_keeper(keeper, holder):
            raise ReservationConflicts(
                f"{address} is held by {holder.held_by if holder else 'somebody'}, not by {keeper.holder}: "
                "release it first"
            )


async def _holder(value: int, pool: Pool, catalogue: Catalogue) -> tuple[IPAddress, Allocation | None]:
    address = address_in(pool.family, value)
    return address, await catalogue.holder_of(pool.space, address)


def _offsets(bits: int) -> Iterator[int]:
    return (offset for offset in range(bits.bit_length()) if bits >> offset & 1)


def is_keeper(reservation: Reservation, holder: Allocation) -> bool:
    """Whether an allocation is of the one that a reservation is for."""
    if isinstance(holder.holder, Owner):
        return reservation.owner == holder.holder.name
    workload = holder.workload
    return reservation.name is not None and (reservation.namespace, reservation.name) == (
        workload.namespace,
        workload.name,
    )
