"""Which pools may serve a request, in which order, and why the others may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from ipamd.addressing.mask import meets
from ipamd.engine.allocation.prefixes import (
    place_in_reservations,
    pools_beside,
    pools_with_prefix,
    range_of,
    unavailable,
    why_no_prefix,
)
from ipamd.engine.catalogue import KEPT_CHOICES, Catalogue, RequestContext
from ipamd.models.address import MAX_LENGTH, AddressRange, IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.errors import AddressUnavailable, InvalidValue, NotAllowed, PoolUnknown
from ipamd.models.former_address import FormerAddress
from ipamd.models.hold import Hold
from ipamd.models.identity import Identity
from ipamd.models.node import NodeKey, node_name
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, PoolNames, PrefixRequest
from ipamd.models.reservation import Reservation

Alternatives = tuple[Pool, ...]

MOST_NAMED: Final = 8
"""How many pools, or values of a selector, one sentence names."""


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


def context_of(request: AllocationRequest) -> RequestContext:
    """What selectors may know of who asks."""
    holder, node, namespace = request.holder, request.node, request.workload.namespace
    if request.seat is not None:
        cluster, name = request.seat.seat.node
        return RequestContext(cluster, request.seat.network, name, None)
    if isinstance(holder, Identity):
        return RequestContext(holder.cluster, holder.network, holder.node, namespace)
    return RequestContext(
        node.cluster if node else holder.cluster, None, node.name if node else None, namespace
    )


def alternatives(
    pool_names: PoolNames, context: RequestContext, catalogue: Catalogue
) -> tuple[Alternatives, ...]:
    """The pools of each address: as named, else by selectors, one address for each family that has a pool."""
    question = pool_names, context
    chosen = catalogue.choices.get(question)
    if chosen is None:
        if pool_names:
            chosen = tuple(_named(slot, context, catalogue) for slot in pool_names)
        else:
            chosen = _selected(context, catalogue, prefixes=False)
        if len(catalogue.choices) < KEPT_CHOICES:
            catalogue.choices[question] = chosen
    return chosen


def why_not_selected(pool: Pool, context: RequestContext, catalogue: Catalogue) -> str | None:
    """Which selector of a pool keeps somebody out, as the end of a sentence; None when all match."""
    selectors = pool.selectors
    lists = (
        ("cluster", context.cluster, selectors.clusters),
        ("network", context.network, selectors.networks),
        ("node", context.node, tuple(map(node_name, selectors.nodes))),
        ("namespace", context.namespace, selectors.namespaces),
    )
    for what, value, allowed in lists:
        if allowed and value not in allowed:
            not_this = f"not for {value}" if value else f"but this request names no {what}"
            return f"pool {pool.name} is for {what} {_either(allowed)}, {not_this}"
    if selectors.node_labels:
        labels = catalogue.labels(NodeKey(context.cluster or "", context.node or ""))
        for key, value in selectors.node_labels.items():
            if labels.get(key) != value:
                has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
                return (
                    f"pool {pool.name} is for nodes with the label {key}={value}, "
                    f"but node {context.node or 'none'} has {has}"
                )
    return None


def why_not_unasked(pool: Pool, context: RequestContext, catalogue: Catalogue) -> str | None:
    """Why a pool does not serve somebody who names no pool; None when it does."""
    why = why_not_selected(pool, context, catalogue)
    if why is None and pool.prefix_length is not None:
        return no_addresses(pool)
    if why is None and not pool.auto_assign:
        return f"pool {pool.name} serves only requests that name it (its auto_assign is false)"
    return why


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


def no_addresses(pool: Pool) -> str:
    """That a pool gives prefixes only, as a sentence."""
    return (
        f"pool {pool.name} gives prefixes of /{pool.given_length}, and no addresses: ask for a prefix "
        "(`prefix_length`, or the annotation `ipamd.io/prefix`)"
    )


def _named(
    slot: tuple[str, ...], context: RequestContext, catalogue: Catalogue, *, prefix: bool = False
) -> Alternatives:
    """The pools of these that serve somebody; those of prefixes only for a `prefix`."""
    pools: list[Pool] = []
    refusals: list[str] = []
    first: Pool | None = None
    for name in slot:
        pool = catalogue.pools.get(name)
        if pool is None:
            raise PoolUnknown(name)
        first = first or pool
        if pool.family != first.family:
            raise _mixed(first, pool)
        refusal = why_not_selected(pool, context, catalogue)
        if refusal is None and pool.prefix_length is not None and not prefix:
            refusal = no_addresses(pool)
        if refusal is None:
            pools.append(pool)
        else:
            refusals.append(refusal)
    if not pools:
        raise NotAllowed(listed(refusals))
    return tuple(pools)


def _mixed(one: Pool, other: Pool) -> InvalidValue:
    """Alternatives are for one address: whoever names pools of two families wants an address of each."""
    return InvalidValue(
        "pools",
        f"{one.name} (IPv{one.family}) and {other.name} (IPv{other.family}) cannot be alternatives of one "
        f'address: for an address of each write [["{one.name}"], ["{other.name}"]]',
    )


def _selected(context: RequestContext, catalogue: Catalogue, *, prefixes: bool) -> tuple[Alternatives, ...]:
    """The pools that selectors choose, by family: those of `prefixes`, or of addresses."""
    matching = [
        pool
        for pool in catalogue.pools.values()
        if pool.auto_assign
        and (pool.prefix_length is not None) == prefixes
        and why_not_selected(pool, context, catalogue) is None
    ]
    matching.sort(key=lambda pool: (-pool.priority, pool.name))
    families = (tuple(pool for pool in matching if pool.family == family) for family in (4, 6))
    return tuple(pools for pools in families if pools)


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


def listed(sentences: Iterable[str], of: int | None = None) -> str:
    """Sentences as one, no more than people read; `of` is how many there are if not all are given."""
    every = list(sentences)
    more = (len(every) if of is None else of) - MOST_NAMED
    return "; ".join(every[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _either(values: tuple[str, ...]) -> str:
    more = len(values) - MOST_NAMED
    return " or ".join((*values[:MOST_NAMED], *([f"one of {more} more"] if more > 0 else [])))


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
        pools = pools_with_prefix(length, _named(prefix.pools, context_of(request), catalogue, prefix=True))
    elif request.pool_names:
        pools = pools_beside(length, chosen)
    else:
        of_prefixes = _selected(context_of(request), catalogue, prefixes=True)
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
