"""A prefix as cells: of a large one each is a smaller prefix, of a small one each is an address. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, NamedTuple

from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.models.address import IPAddress, IPNetwork, address_in, text_of
from ipamd.models.block import HELD, Block
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool

CELL_BITS: Final = 8
"""A picture has at most 256 cells."""


class CellPrefix(NamedTuple):
    """A prefix as numbers. A picture has 256 of them, and those of `ipaddress` take ten times as long."""

    family: int
    first: int
    length: int
    last: int

    @property
    def start(self) -> str:
        """Its first address as text."""
        return text_of(address_in(self.family, self.first))

    def __str__(self) -> str:
        return f"{self.start}/{self.length}"


@dataclass(frozen=True, slots=True)
class AddressCell:
    """One address and its state; of a pool of prefixes, one prefix by its first address.

    `label` is what tells it from its neighbours.
    """

    address: IPAddress
    state: str
    label: str


@dataclass(frozen=True, slots=True)
class PrefixCell:
    """A prefix: how many addresses of it a holder may have, and how many are held or in nodes' stores."""

    prefix: CellPrefix
    usable: int
    taken: int

    @property
    def level(self) -> int:
        """0 for empty, 1 to 9 for more and more, 10 for full."""
        if not self.taken:
            return 0
        return 10 if self.taken >= self.usable else max(1, self.taken * 10 // self.usable)


@dataclass(frozen=True, slots=True)
class Gap:
    """Free neighbours from the first address to the last: `size` is a number of addresses, or of prefixes."""

    first: IPAddress
    last: IPAddress
    size: int


def cell_length(prefix: IPNetwork, given: int | None = None) -> int:
    """The prefix length of the cells of a picture: of what a pool gives, or shorter."""
    given = prefix.max_prefixlen if given is None else given
    bits = given - prefix.prefixlen
    return given if bits <= CELL_BITS else prefix.prefixlen + min(CELL_BITS, bits - CELL_BITS)


def around(address: IPAddress, pool: Pool) -> IPNetwork:
    """The smallest picture of a pool that has an address."""
    length = max(pool.given_length - CELL_BITS, pool.subnet.prefixlen)
    return ip_network((address, length), strict=False)


def trail(prefix: IPNetwork, whole: IPNetwork, given: int | None = None) -> list[IPNetwork]:
    """The pictures that lead to this one, from that of the whole on."""
    found, at = [whole], whole
    while at.prefixlen < prefix.prefixlen:
        length = cell_length(at, given)
        if length >= prefix.prefixlen:
            break
        at = ip_network((prefix[0], length), strict=False)
        found.append(at)
    return found if prefix == whole else [*found, prefix]


def prefixes_of(prefix: IPNetwork, given: int | None = None) -> list[CellPrefix]:
    """The cells of a picture of prefixes."""
    family, length = prefix.version, cell_length(prefix, given)
    size = 1 << (prefix.max_prefixlen - length)
    begin, end = int(prefix.network_address), int(prefix.broadcast_address)
    return [CellPrefix(family, first, length, first + size - 1) for first in range(begin, end + 1, size)]


def taken_within(blocks: Sequence[Block], bounds: Sequence[tuple[int, int]]) -> list[int]:
    """How many numbers of a pool are held within bounds that are smaller than a block."""
    held = sorted(
        block.first + offset
        for block in blocks
        for offset, since in enumerate(block.free_since)
        if since == HELD
    )
    return [bisect_right(held, last) - bisect_left(held, first) for first, last in bounds]


def prefix_cells(prefix: IPNetwork, mask: Mask, taken: Sequence[int]) -> list[PrefixCell]:
    """The cells of a picture of prefixes, with what is taken of each."""
    pool = mask.pool
    made = []
    for each, count in zip(prefixes_of(prefix, pool.given_length), taken, strict=True):
        first, last = numbers_in((each.first, each.last), pool)
        made.append(PrefixCell(each, mask.usable.count_between(first, last), count))
    return made


def numbers_in(bounds: tuple[int, int], pool: Pool) -> tuple[int, int]:
    """The first and the last number of a pool that lie within bounds of addresses."""
    first, last = bounds
    return first >> pool.left_out, last >> pool.left_out


def address_cells(
    prefix: IPNetwork, mask: Mask, blocks: Sequence[Block], kept: Mapping[IPAddress, str], cooled: Instant
) -> list[AddressCell]:
    """What a pool gives in a picture, each with its state. `kept` says which nodes or holds have."""
    pool, states = mask.pool, _states(blocks, kept, cooled)
    first, last = numbers_in((int(prefix[0]), int(prefix[-1])), pool)
    made = []
    for number in range(first, last + 1):
        address = pool.address_of(number)
        made.append(AddressCell(address, _state(number, mask, states), _label(address, pool.given_length)))
    return made


def gaps(cells: Sequence[AddressCell], pool: Pool) -> list[Gap]:
    """Neighbours that are free, in their order."""
    free = Spans((number, number) for number in _free_numbers(cells, pool))
    return [_gap(pool, first, last) for first, last in free]


def _free_numbers(cells: Sequence[AddressCell], pool: Pool) -> Iterator[int]:
    return (pool.number_of(cell.address) for cell in cells if cell.state == "free")


def _gap(pool: Pool, first: int, last: int) -> Gap:
    addresses = pool.addresses_of(first, last)
    return Gap(addresses.first, addresses.last, last - first + 1)


def empty_stretches(cells: Sequence[PrefixCell], mask: Mask) -> list[Gap]:
    """Neighbours that anybody may get, in cells of which nothing is taken."""
    pool = mask.pool
    empty = Spans(numbers_in((cell.prefix.first, cell.prefix.last), pool) for cell in cells if not cell.taken)
    return [_gap(pool, first, last) for first, last in mask.assignable.meeting(empty)]


def state_of(
    value: int, mask: Mask, blocks: Sequence[Block], kept: Mapping[IPAddress, str], cooled: Instant
) -> str:
    """The state of one address."""
    return _state(value, mask, _states(blocks, kept, cooled))


def _states(blocks: Sequence[Block], kept: Mapping[IPAddress, str], cooled: Instant) -> Mapping[int, str]:
    """What blocks, leases and holds say of addresses, by their values; nothing of those that are free."""
    states = {
        block.first + offset: "allocated" if since == HELD else "cooling"
        for block in blocks
        for offset, since in enumerate(block.free_since)
        if since > cooled
    }
    return {**states, **{int(address): state for address, state in kept.items()}}


def _state(value: int, mask: Mask, states: Mapping[int, str]) -> str:
    known = states.get(value, "free")
    if known in ("allocated", "leased", "held"):
        return known
    if value not in mask.usable:
        return "excluded"
    if value in mask.reserved:
        return "reserved"
    return known


def _label(address: IPAddress, length: int) -> str:
    """The byte in which a prefix of a length ends: of an address its last."""
    byte = address.packed[(length - 1) // 8]
    return str(byte) if address.version == 4 else f"{byte:02x}"
