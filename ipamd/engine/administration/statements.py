"""What an admin states, judged by itself: no pool or reservation may mean what cannot be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ipamd.addressing.block import effective_block_length
from ipamd.addressing.gateway import set_apart
from ipamd.models.address import AddressRange, IPAddress, parse_address
from ipamd.models.errors import InvalidValue, PoolUnknown
from ipamd.models.hold import LARGEST_HOLD, LONGEST_HOLD, Hold
from ipamd.models.host_address import why_no_host
from ipamd.models.patterns import ANY_ENDING
from ipamd.models.pool import Pool, PoolState
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation


class Objection(NamedTuple):
    """What is wrong with one field of a pool."""

    field: str
    why: str


def validate(pool: Pool) -> None:
    """Raise InvalidValue if a pool contradicts itself."""
    for field, why in objections(pool):
        raise InvalidValue(field, why)


def validate_edit(old: Pool, new: Pool) -> None:
    """Raise InvalidValue if a pool changes what is fixed, or contradicts itself in a new way.

    An old contradiction is allowed: an older ipamd accepted it, and it must be possible to correct the pool.
    """
    if (old.name, old.space) != (new.name, new.space):
        raise InvalidValue("name", "the name and the space of a pool cannot be changed: make another pool")
    if old.family != new.family or not old.subnet.subnet_of(new.subnet):  # type: ignore[arg-type]  # of one family
        raise InvalidValue("subnet", f"{old.subnet} can only grow: write a shorter prefix that contains it")
    before = set(objections(old))
    for objection in objections(new):
        if objection not in before:
            raise InvalidValue(*objection)


def validate_reservation(reservation: Reservation) -> None:
    """Raise InvalidValue for addresses that no host may have."""
    why = why_no_host(reservation.addresses)
    if why is not None:
        raise InvalidValue("address", why)


def validate_quota(quota: Quota, pools: Mapping[str, Pool]) -> None:
    """Raise InvalidValue if a quota can count nothing, or PoolUnknown if there is no such pool."""
    if quota.limit < 0:
        raise InvalidValue("limit", f"{quota.limit} is negative: write 0 or more")
    _validate_namespaces(quota.namespaces)
    _validate_clusters(quota.clusters)
    if quota.pool is None:
        return
    if quota.space is not None:
        raise InvalidValue("space", "a quota is for a pool or for a space: leave one of them out")
    pool = pools.get(quota.pool)
    if pool is None:
        raise PoolUnknown(quota.pool)
    if quota.family not in (None, pool.family):
        raise InvalidValue("family", f"pool {pool.name} has IPv{pool.family} addresses only")


def validate_hold(hold: Hold, pools: Mapping[str, Pool]) -> None:
    """Raise InvalidValue if a hold can be for nobody, or PoolUnknown if there is no such pool."""
    if not 1 <= hold.size <= LARGEST_HOLD:
        raise InvalidValue("size", f"write 1 to {LARGEST_HOLD} addresses, not {hold.size}")
    if not 1 <= hold.seconds <= LONGEST_HOLD:
        raise InvalidValue("seconds", f"write 1 to {LONGEST_HOLD} seconds, not {hold.seconds}")
    _validate_namespaces(hold.namespaces)
    _validate_clusters(hold.clusters)
    _validate_patterns("workloads", hold.workloads)
    pool = pools.get(hold.pool)
    if pool is None:
        raise PoolUnknown(hold.pool)
    if pool.state is PoolState.DRAINING:
        raise InvalidValue("pool", f"pool {pool.name} is draining: it gives nothing new")
    if pool.prefix_length is not None:
        raise InvalidValue("pool", f"pool {pool.name} gives prefixes, and a hold is of addresses")
    if not pool.lends:
        raise InvalidValue(
            "pool",
            f"pool {pool.name} lends no single addresses (its borrow is false), so what is held could not "
            "be had on whichever node a workload begins: set borrow, or name another pool",
        )


def _validate_namespaces(namespaces: Sequence[str]) -> None:
    if not namespaces:
        raise InvalidValue("namespaces", "name at least one, or write * for every namespace")
    _validate_patterns("namespaces", namespaces)


def _validate_clusters(clusters: Sequence[str]) -> None:
    for cluster in clusters:
        if ANY_ENDING in cluster:
            raise InvalidValue("clusters", f"{cluster} is no name of a cluster: leave them out to mean all")


def _validate_patterns(field: str, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if ANY_ENDING in pattern[:-1]:
            raise InvalidValue(
                field, f"{pattern}: a * may stand at the end only, as in team-*, which begins a name"
            )


def objections(pool: Pool) -> Iterator[Objection]:
    """Everything that is wrong with a pool."""
    why = why_no_host(AddressRange(pool.subnet[0], pool.subnet[-1]))
    if why is not None:
        yield Objection("subnet", why)
    for field, ranges in (("ranges", pool.ranges), ("exclusions", pool.exclusions)):
        for each in ranges:
            if each.first not in pool.subnet or each.last not in pool.subnet:
                yield Objection(field, f"{each} is outside the subnet {pool.subnet}")
    yield from _of_gateway(pool)
    yield from _of_routes(pool)
    for server in pool.dns.nameservers:
        why = _why_nobodys(parse_address(server))
        if why is not None:
            yield Objection("dns.nameservers", why)
    if pool.cooldown < 0:
        yield Objection("cooldown", f"{pool.cooldown} is negative: write seconds, 0 or more")
    if pool.owner_keep < 0:
        yield Objection("owner_keep", f"{pool.owner_keep} is negative: write seconds, 0 or more")
    length, shortest = pool.prefix_length, pool.subnet.prefixlen + 1
    if length is not None and not shortest <= length < pool.subnet.max_prefixlen:
        longest = pool.subnet.max_prefixlen - 1
        what = f"{pool.subnet} has prefixes of /{shortest} to /{longest}, no /{length}"
        yield Objection("prefix_length", what)
        return
    try:
        effective_block_length(pool.subnet, pool.block_length, length)
    except ValueError as error:
        yield Objection("block_size", str(error))


def _of_gateway(pool: Pool) -> Iterator[Objection]:
    gateway, subnet = pool.gateway, pool.subnet
    if gateway is None:
        if pool.gateway_on_link:
            yield Objection("gateway_on_link", "there is no gateway: name it, or leave this out")
        return
    why = _why_no_router(gateway, pool)
    if why is not None:
        yield Objection("gateway", why)
    elif gateway.version != subnet.version:
        yield Objection("gateway", f"{gateway} is not IPv{subnet.version} as the subnet is")
    elif gateway not in subnet and not (gateway.is_link_local or pool.gateway_on_link):
        yield Objection(
            "gateway",
            f"{gateway} is outside the subnet {subnet}: say gateway_on_link if that is meant",
        )


def _of_routes(pool: Pool) -> Iterator[Objection]:
    known = set()
    for route in pool.routes:
        if route.dst.version != pool.family or (route.gw is not None and route.gw.version != pool.family):
            yield Objection("routes", f"{route.dst} is not IPv{pool.family} as the subnet is")
        elif route.destination in known:
            yield Objection("routes", f"{route.dst} comes twice: of a table and priority one route is used")
        known.add(route.destination)
        why = _why_no_router(route.gw, pool) if route.gw is not None else None
        if why is not None:
            yield Objection("routes", f"gw of {route.dst}: {why}")


def _why_no_router(address: IPAddress, pool: Pool) -> str | None:
    """Why a pool's packets cannot go through an address."""
    if address.version == 4:  # IPv6 has no broadcast, and its subnet-router address is the routers' own
        for kept, what in set_apart(pool.subnet):
            if address.version == pool.family and int(address) == kept:
                return f"{address} is {what} of {pool.subnet}"
    return _why_nobodys(address)


def _why_nobodys(address: IPAddress) -> str | None:
    return why_no_host(AddressRange(address, address))
