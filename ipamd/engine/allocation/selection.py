"""What a request asks for, address by address: from which pools, or why it cannot have it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ipamd.addressing.mask import meets
from ipamd.engine.allocation.address_request import AddressRequest, Alternatives
from ipamd.engine.allocation.pool_choice import (
    alternatives,
    context_of,
    listed,
    named,
    no_addresses,
    selected,
    why_not_unasked,
)
from ipamd.engine.allocation.prefixes import (
    place_in_reservations,
    pools_beside,
    pools_with_prefix,
    range_of,
    unavailable,
    why_no_prefix,
)
from ipamd.engine.catalogue import Catalogue
from ipamd.models.address import MAX_LENGTH, AddressRange, IPAddress
from ipamd.models.errors import AddressUnavailable, InvalidValue
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, PrefixRequest
from ipamd.models.reservation import Reservation


def select(request: AllocationRequest, catalogue: Catalogue) -> list[AddressRequest]:
    """What a request asks for, one entry for each address of the answer, the prefix last.

    Raises PoolUnknown, NotAllowed, AddressUnavailable, InvalidValue. An empty list: no pool is meant for this
    request.
    """
    prefix, space = request.prefix, request.adopted_in
    if space is not None:
        used = [_adopted(address, space, request, catalogue) for address in request.requested]
        return used if prefix is None else [*used, _adopted_prefix(prefix, space, request, catalogue)]
    chosen: Sequence[Alternatives] = ()
    if prefix is None or not prefix.alone:
        chosen = alternatives(request.pool_names, context_of(request), catalogue)
    wanted = [AddressRequest(pools) for pools in chosen]
    for address in request.requested:
        _place(address, wanted, request, catalogue)
    if catalogue.has_reservations:
        workload = request.workload
        for reservation in catalogue.reserved_for(workload.namespace, workload.name, request.owner):
            _bind(reservation, wanted)
    if prefix is not None:
        wanted.append(prefix_asked(prefix, chosen, request, catalogue))
    return wanted


def _adopted(
    address: IPAddress, space: str, request: AllocationRequest, catalogue: Catalogue
) -> AddressRequest:
    """The one pool that has an address which its holder uses."""
    pool = catalogue.pool_with(address, space)
    if pool is None:
        raise AddressUnavailable(address, f"it is in no pool of space {space}")
    if pool.prefix_length is not None:
        raise AddressUnavailable(address, no_addresses(pool))
    why = why_not_had(address, pool, request, catalogue)
    if why is not None:
        raise AddressUnavailable(address, why)
    return AddressRequest((pool,), AddressRange(address, address), adopted=True)


def _adopted_prefix(
    prefix: PrefixRequest, space: str, request: AllocationRequest, catalogue: Catalogue
) -> AddressRequest:
    """The one pool that has a prefix which its holder uses."""
    wanted = range_of(prefix)
    pool = catalogue.pool_with(wanted.first, space)
    why: str | None = f"it is in no pool of space {space}"
    if pool is not None:
        own = catalogue.reserved_for(request.workload.namespace, request.workload.name, request.owner)
        why = why_no_prefix(pool, prefix.length) or why_prefix_not_had(wanted, pool, own, catalogue)
    if pool is None or why is not None:
        raise unavailable(wanted, prefix.length, why or "")
    return AddressRequest((pool,), wanted, adopted=True, prefix_length=prefix.length)


def why_not_had(
    address: IPAddress, pool: Pool, request: AllocationRequest, catalogue: Catalogue
) -> str | None:
    """Why a request cannot get an address from a pool, whoever holds it; None when it may."""
    mask = catalogue.mask(pool)
    reservation = mask.reservation_of(address)
    own = catalogue.reserved_for(request.workload.namespace, request.workload.name, request.owner)
    if reservation is not None and reservation not in own:
        return f"it is reserved for {reservation.holder} (reservation {reservation.id})"
    return mask.why_not(address)


def _place(
    address: IPAddress, wanted: list[AddressRequest], request: AllocationRequest, catalogue: Catalogue
) -> None:
    """Bind the first entry that may have a requested address to it."""
    refusals: list[str] = []
    for at, asked in enumerate(wanted):
        for pool in asked.pools:
            if address not in pool.subnet:
                continue
            if asked.place is not None:
                refusals.append(f"pool {pool.name} is to give {asked.place} here")
                continue
            refusal = why_not_had(address, pool, request, catalogue)
            if refusal is None:
                wanted[at] = AddressRequest((pool,), AddressRange(address, address))
                return
            refusals.append(refusal)
    why = listed(dict.fromkeys(refusals)) or _why_nowhere(address, wanted, request, catalogue)
    raise AddressUnavailable(address, why)


def _why_nowhere(
    address: IPAddress, wanted: list[AddressRequest], request: AllocationRequest, catalogue: Catalogue
) -> str:
    """Why no pool of a request has an address, as the end of a sentence."""
    context = context_of(request)
    for pool in catalogue.pools_with(address):
        unnamed = f"it is in pool {pool.name}, which this request does not name"
        return unnamed if request.pool_names else why_not_unasked(pool, context, catalogue) or unnamed
    pools = {pool.name: pool for asked in wanted for pool in asked.pools}
    outside = (f"it is outside pool {pool.name} ({pool.subnet})" for pool in pools.values())
    return listed(outside) or "it is in no pool"


def _bind(reservation: Reservation, wanted: list[AddressRequest]) -> None:
    """Bind entries to the holder's own reservation, if a pool that may serve them has it.

    As many as it has addresses: who needs two from one pool gets the reserved one, and another.
    """
    left = reservation.addresses.size
    for at, asked in enumerate(wanted):
        if asked.place is not None or left == 0:
            continue
        for pool in asked.pools:
            if meets(reservation.addresses, pool, reservation.space):
                wanted[at] = AddressRequest((pool,), reservation.addresses, reservation=reservation)
                left -= 1
                break


def prefix_asked(
    prefix: PrefixRequest,
    chosen: Sequence[Alternatives],
    request: AllocationRequest,
    catalogue: Catalogue,
) -> AddressRequest:
    """The prefix that a request asks for; `chosen` are the pools of its addresses.

    Raises PoolUnknown, NotAllowed, AddressUnavailable, InvalidValue.
    """
    length = prefix.length
    if prefix.pools:
        pools = pools_with_prefix(length, named(prefix.pools, context_of(request), catalogue, prefix=True))
    elif request.pool_names:
        pools = pools_beside(length, chosen)
    else:
        of_prefixes = selected(context_of(request), catalogue, prefixes=True)
        pools = pools_beside(length, [*chosen, *of_prefixes])
    if length == MAX_LENGTH[pools[0].family]:
        raise InvalidValue("prefix_length", f"a /{length} is one address: ask for an address")
    own = catalogue.reserved_for(request.workload.namespace, request.workload.name, request.owner)
    if prefix.first is None:
        kept = place_in_reservations(length, pools, own)
        if kept is None:
            return AddressRequest(pools, prefix_length=length)
        return AddressRequest(kept[0], kept[1], reservation=kept[2], prefix_length=length)
    wanted = range_of(prefix)
    pool = next((pool for pool in pools if prefix.first in pool.subnet), None)
    if pool is None:
        names = listed(f"pool {each.name} ({each.subnet})" for each in pools)
        raise unavailable(wanted, length, f"it is outside {names}")
    why = why_prefix_not_had(wanted, pool, own, catalogue)
    if why is not None:
        raise unavailable(wanted, length, why)
    return AddressRequest((pool,), wanted, prefix_length=length)


def why_prefix_not_had(
    wanted: AddressRange, pool: Pool, own: Sequence[Reservation], catalogue: Catalogue
) -> str | None:
    """Why a holder of some reservations cannot get a prefix from a pool, whoever holds it; None if it may."""
    mask = catalogue.mask(pool)
    for reservation in mask.reservations_in(wanted):
        if reservation not in own:
            kept = f"{reservation.addresses} is reserved for {reservation.holder}"
            return f"{kept} (reservation {reservation.id})"
    usable = mask.usable_within(wanted)
    numbers = pool.numbers_of(wanted)
    if usable.total == len(numbers):
        return None
    address = pool.address_of(next(number for number in numbers if number not in usable))
    return f"{address} is in it, and {mask.why_not(address) or 'pool ' + pool.name + ' keeps it'}"
