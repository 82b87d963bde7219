"""The mask: the addresses of a pool without those of the subnet, the gateway, and its admins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ipamd.addressing.block import aligned_groups
from ipamd.addressing.gateway import set_apart
from ipamd.addressing.ranges import Spans
from ipamd.models.address import AddressRange, IPAddress, address_in
from ipamd.models.block import Block
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation

MOST_NAMED: Final = 4
"""How many ranges a sentence names."""


class Mask:
    """The rules of a pool and its reservations, as sets of numbers (`Pool.number_of`).

    `offered` is the subnet, or the ranges inside it. `usable` is what a holder may have at all. `reserved` is
    the part of it that is kept for somebody. `assignable` is what anybody may get unasked. A prefix is
    reserved as a whole if a part of it is, and usable only if all of it is.
    """

    __slots__ = (
        "_block_size",
        "_numbers",
        "_reservations",
        "assignable",
        "offered",
        "pool",
        "reserved",
        "usable",
    )

    def __init__(self, pool: Pool, reservations: Iterable[Reservation] = ()) -> None:
        subnet = (int(pool.subnet[0]), int(pool.subnet[-1]))
        self.pool = pool
        self._block_size = pool.block_size
        self._numbers = pool.first_number, pool.last_number
        offered = Spans(map(_span, pool.ranges) if pool.ranges else [subnet])
        withheld = [(value, value) for value, _ in kept_apart(pool)]
        withheld += map(_span, pool.exclusions)
        if pool.gateway is not None and pool.gateway in pool.subnet:
            withheld.append((int(pool.gateway), int(pool.gateway)))
        usable = offered.minus(Spans(withheld))
        self._reservations = tuple(
            reservation
            for reservation in reservations
            if meets(reservation.addresses, pool, reservation.space)
        )
        reserved = usable.meeting(Spans(_span(each.addresses) for each in self._reservations))
        self.offered, self.usable = _whole(offered, pool), _whole(usable, pool)
        self.assignable = _whole(usable.minus(reserved), pool)
        self.reserved = reserved if pool.prefix_length is None else self.usable.minus(self.assignable)

    def assignable_in(self, block: int) -> int:
        """Which numbers of a block anybody may get: bit i stands for `block + i`."""
        return self.assignable.bits(block, self._block_size)

    def has_block(self, block: Block) -> bool:
        """Whether a block is one of this pool, which may have grown, or been made anew."""
        first, last = self._numbers
        return block.size == self._block_size and first <= block.first <= last

    def blocks_from(self, cursor: int) -> Iterator[int]:
        """The numbers of the blocks at or above a cursor that contain an assignable address, in order."""
        return _blocks(self.pool, self.assignable, cursor)

    def usable_within(self, addresses: AddressRange) -> Spans:
        """The numbers of a range that a holder may have, reserved or not."""
        first, last = self.pool.whole_numbers(addresses)
        return self.usable.meeting(Spans([(first, last)] if first <= last else ()))

    def has_prefix(self, block: int, count: int) -> bool:
        """Whether anybody may have `count` aligned neighbours in a block, if nothing of it is held."""
        return bool(aligned_groups(self.assignable_in(block), self.pool.block_size, count))

    def reservations_in(self, addresses: AddressRange) -> list[Reservation]:
        """The reservations that have any of these addresses."""
        return [each for each in self._reservations if each.addresses.overlaps(addresses)]

    def blocks_meeting(self, spans: Spans) -> Iterator[int]:
        """The numbers of the blocks that contain any of these numbers, in order."""
        return _blocks(self.pool, spans, 0)

    def reservation_of(self, address: IPAddress) -> Reservation | None:
        """The reservation that contains an address."""
        for reservation in self._reservations:
            if reservation.addresses.contains(address):
                return reservation
        return None

    def why_not(self, address: IPAddress) -> str | None:
        """Why no holder may have an address, as the end of a sentence. None if one may.

        In a pool of prefixes, why none may have the prefix around it.
        """
        pool, name, value = self.pool, self.pool.name, int(address)
        if address not in pool.subnet:
            return f"it is outside pool {name} ({pool.subnet})"
        if pool.number_of(address) in self.usable:
            return None
        for kept, what in kept_apart(pool):
            if value == kept:
                return f"it is {what} of pool {name}"
        around = pool.addresses_of(pool.number_of(address), pool.number_of(address))
        if pool.gateway is not None and around.contains(pool.gateway):
            return f"it {'is' if around.size == 1 else 'has'} the gateway of pool {name}"
        for exclusion in pool.exclusions:
            if exclusion.overlaps(around):
                part = "" if around.size == 1 else "in part "
                return f"it is {part}excluded from pool {name} ({exclusion})"
        ranges = ", ".join(map(str, self.pool.ranges[:MOST_NAMED]))
        more = ", ..." if len(self.pool.ranges) > MOST_NAMED else ""
        return f"it is outside the ranges of pool {name} ({ranges}{more})"


def meets(addresses: AddressRange, pool: Pool, space: str) -> bool:
    """Whether any of these addresses of a space lie in a pool's subnet."""
    return (
        space == pool.space
        and addresses.family == pool.family
        and int(addresses.first) <= int(pool.subnet.broadcast_address)
        and int(pool.subnet.network_address) <= int(addresses.last)
    )


def kept_apart(pool: Pool) -> list[tuple[int, str]]:
    """The addresses that a pool's subnet keeps for itself. What is given as prefixes is no subnet yet."""
    return set_apart(pool.subnet) if pool.prefix_length is None else []


def _whole(addresses: Spans, pool: Pool) -> Spans:
    """The numbers of which these are all addresses."""
    if pool.prefix_length is None:
        return addresses
    family = pool.family
    spans = (
        pool.whole_numbers(AddressRange(address_in(family, first), address_in(family, last)))
        for first, last in addresses
    )
    return Spans((first, last) for first, last in spans if first <= last)


def _blocks(pool: Pool, spans: Spans, cursor: int) -> Iterator[int]:
    at = spans.next_from(cursor)
    while at is not None:
        block = pool.block_of(at)
        yield block
        at = spans.next_from(block + pool.block_size)


def _span(addresses: AddressRange) -> tuple[int, int]:
    return int(addresses.first), int(addresses.last)
