"""Where a prefix may come from that somebody asks for, and why from nowhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ipamd.addressing.mask import meets
from ipamd.models.address import MAX_LENGTH, AddressRange, prefix_size
from ipamd.models.errors import AddressUnavailable, InvalidValue
from ipamd.models.pool import Pool
from ipamd.models.request import PrefixRequest
from ipamd.models.reservation import Reservation

FIELD: Final = "prefix_length"


def why_no_prefix(pool: Pool, length: int) -> str | None:
    """Why no prefix of this length is ever given out of a pool, as a sentence. None if one may be."""
    if not 0 < length <= MAX_LENGTH[pool.family]:
        return why_no_length(pool.family, length)
    if length <= pool.subnet.prefixlen:
        return f"pool {pool.name} ({pool.subnet}) has no /{length} in it"
    if length > pool.given_length:
        return f"pool {pool.name} gives prefixes of /{pool.given_length} and shorter, and no /{length}"
    if length < pool.block_length:
        return (
            f"pool {pool.name} gives no /{length}: a prefix lies in a block, and its blocks are "
            f"/{pool.block_length}. Make a pool of such prefixes (`ipamctl pool create --prefix-length`), or "
            "reserve one (`ipamctl reservation create --pool --prefix-length`)"
        )
    return None


def why_no_length(family: int, length: int) -> str:
    """That a family has no prefix of such a length."""
    return f"an IPv{family} prefix has a length of 1 to {MAX_LENGTH[family]}, not {length}"


def pools_with_prefix(length: int, pools: Sequence[Pool]) -> tuple[Pool, ...]:
    """Those of some alternatives that have prefixes of a length. Raises InvalidValue if none has."""
    found = tuple(pool for pool in pools if why_no_prefix(pool, length) is None)
    if not found:
        reasons = [why for pool in pools[:4] if (why := why_no_prefix(pool, length)) is not None]
        raise InvalidValue(FIELD, "; ".join(dict.fromkeys(reasons)) or "no pool is meant for this request")
    return found


def of_families(pools: Sequence[Pool]) -> list[tuple[Pool, ...]]:
    """Pools by family: those of two families are no alternatives."""
    families = (tuple(pool for pool in pools if pool.family == family) for family in (4, 6))
    return [alike for alike in families if alike]


def pools_beside(length: int, chosen: Sequence[tuple[Pool, ...]]) -> tuple[Pool, ...]:
    """The pools of the first address beside which a prefix of a length may stand.

    Raises InvalidValue if there is none.
    """
    for pools in chosen:
        if any(why_no_prefix(pool, length) is None for pool in pools):
            return pools_with_prefix(length, pools)
    return pools_with_prefix(length, [pool for pools in chosen for pool in pools])


def range_of(prefix: PrefixRequest) -> AddressRange:
    """The addresses of a prefix that is asked for by its first address. Raises InvalidValue."""
    first = prefix.first
    assert first is not None  # the caller asks for a certain one
    if not 0 < prefix.length <= MAX_LENGTH[first.version]:
        raise InvalidValue(FIELD, why_no_length(first.version, prefix.length))
    beyond = int(first) % prefix_size(first.version, prefix.length)
    if beyond:
        raise InvalidValue(
            "address", f"{first} is not the first address of a /{prefix.length}: write {first - beyond}"
        )
    return AddressRange.of_prefix(first, prefix.length)


def place_in_reservations(
    length: int, pools: Sequence[Pool], own: Sequence[Reservation]
) -> tuple[tuple[Pool, ...], AddressRange, Reservation] | None:
    """The first of the holder's reservations that is large enough for a prefix, with its pool."""
    for reservation in own:
        for pool in pools:
            large = reservation.addresses.size >= prefix_size(pool.family, length)
            if large and meets(reservation.addresses, pool, reservation.space):
                return (pool,), reservation.addresses, reservation
    return None


def unavailable(wanted: AddressRange, length: int, why: str) -> AddressUnavailable:
    """The refusal of a prefix that is asked for by its first address."""
    return AddressUnavailable(wanted.first, f"{wanted.first}/{length} cannot be had: {why}")
