"""What a search for an address comes to: one that was picked, or why there is none yet."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.pool import Pool


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
