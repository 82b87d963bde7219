"""Finds a prefix of any length that may be reserved as a whole."""

from __future__ import annotations

from itertools import islice
from typing import Final

from ipamd.addressing.block import count_held
from ipamd.addressing.free_prefixes import prefixes_within
from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.backends.interface import CatalogueChange
from ipamd.models.address import MAX_LENGTH, AddressRange
from ipamd.models.errors import InvalidValue, ReservationConflicts

MOST_LOOKED_AT: Final = 4096
"""How many prefixes are looked at. Single addresses come from the other end of a pool."""


async def free_prefix(mask: Mask, length: int, catalogue: CatalogueChange) -> AddressRange:
    """The last prefix of a pool of which anybody may have every address, and nobody has one.

    It locks the blocks that it looks into. Raises InvalidValue, ReservationConflicts.
    """
    pool = mask.pool
    most = pool.subnet.prefixlen + 1
    least = min(pool.given_length, MAX_LENGTH[pool.family] - 1)
    if not most <= length <= least:
        why = f"pool {pool.name} ({pool.subnet}) has prefixes of /{most} to /{least}, no /{length}"
        raise InvalidValue("prefix_length", why)
    size = pool.count_of(length)
    for first in islice(prefixes_within(mask.assignable, size), MOST_LOOKED_AT):
        within = Spans([(first, first + size - 1)])
        blocks = await catalogue.blocks_between(pool.name, first, first + size - 1)
        if not any(count_held(block, within) for block in blocks):
            return AddressRange.of_prefix(pool.address_of(first), length)
    why = f"pool {pool.name} has no /{length} of which nothing is held, reserved or excluded"
    raise ReservationConflicts(why)
