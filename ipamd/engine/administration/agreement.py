"""What admins state, judged against each other: a reservation and the pools that it lies in. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ipamd.addressing.mask import Mask
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation


def why_never(reservation: Reservation, masks: Iterable[Mask]) -> str | None:
    """Say why nobody can ever have an address of a reservation, by the pools that it meets; None if one can.

    Of one that meets no pool nothing is known: its pool may be yet to come.
    """
    addresses, why = reservation.addresses, None
    for mask in masks:
        numbers = mask.pool.numbers_of(addresses)
        if mask.usable.meets(numbers.start, numbers.stop - 1):
            return None
        if why is None:
            first = _first_in(addresses, mask.pool)
            alone = addresses.size == 1
            why = mask.why_not(first) if alone else f"{first}, for one: {mask.why_not(first)}"
    if why is None:
        return None
    subject = f"{addresses} is reserved for {reservation.holder}"
    known = f" (reservation {reservation.id})" if reservation.id else ""
    never = "it can never be had" if addresses.size == 1 else "none of it can ever be had"
    return f"{subject}{known}, and {never}: {why}"


def _first_in(addresses: AddressRange, pool: Pool) -> IPAddress:
    return max(addresses.first, pool.subnet[0], key=int)
