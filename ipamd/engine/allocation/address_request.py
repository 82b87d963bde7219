"""One address that a request asks for."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.address import AddressRange
from ipamd.models.allocation import Allocation
from ipamd.models.errors import NothingFree, QuotaExceeded
from ipamd.models.former_address import FormerAddress
from ipamd.models.hold import Hold
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation

Alternatives = tuple[Pool, ...]


class AddressRequest(Struct, frozen=True):
    """One address that a request needs: from which pools in turn, and where it must lie if that is given."""

    pools: Alternatives
    place: AddressRange | None = None
    adopted: bool = False
    """Whether the address is in use already, so that a pool which gives nothing new has it for its holder."""
    reservation: Reservation | None = None
    """What put it there, if the holder did not ask for it."""
    former: FormerAddress | None = None
    """What its workload had, if one of the pools is sticky."""
    owned: Allocation | None = None
    """What its owner has there already."""
    holds: tuple[Hold, ...] = ()
    """The holds out of which it may come, in turn, before anything else of its pools."""
    prefix_length: int | None = None
    """The length of the prefix that it asks for, None if it asks for an address."""
    held_only: frozenset[str] = frozenset()
    """The pools out of which it may have only what those holds have: others wait for the rest."""
    closed_by: QuotaExceeded | None = None
    """The quota that closes others of its pools."""

    @property
    def nothing_free(self) -> NothingFree:
        """The error if none of its pools has what it asks for."""
        pools = tuple(pool.name for pool in self.pools)
        return NothingFree(pools, prefix_length=self.prefix_length, closed_by=self.closed_by)
