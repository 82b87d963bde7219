"""What is to be written so that the kernel has what it shall have. Pure.

What is wrong is written over like what is missing. What is new comes first, then what is too much goes: so a
prefix that moves is never without a route, and a device never without its last address, which would take all
its routes along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain

from netlink import address, family, neighbour, route
from netlink.address import Address as LinkAddress
from netlink.message import Request
from netlink.neighbour import Neighbour
from netlink.route import Route as KernelRoute
from node_agent.pod_network.desired import Desired, Route, Through
from node_agent.pod_network.network import IPV6
from node_agent.pod_network.reading import PROTOCOL, TUNNEL, Reading

_NO_SUCH_PROCESS, _NO_SUCH_FILE, _NO_ADDRESS = 3, 2, 99
_GONE = (_NO_SUCH_PROCESS, _NO_SUCH_FILE, _NO_ADDRESS)
_DEFAULT_METRIC_IPV6 = 1024
_KINDS = {route.UNICAST: "route", route.BLACKHOLE: "blackhole"}

_Key = tuple[bytes, int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A request to the kernel, what it does in words, and the refusals that mean it is done already."""

    request: Request
    text: str
    passed: tuple[int, ...] = ()


def changes(desired: Desired, reading: Reading) -> Iterator[Change]:
    """All that is to be written, in order. What needs a link that is not there is left out."""
    yield from _new_on_tunnel(desired, reading)
    yield from _routes(desired, reading)
    yield from _old_on_tunnel(desired, reading)


def missing(desired: Desired, reading: Reading) -> int:
    """How many routes are not there as they shall be."""
    there = {_key(one): one for one in reading.routes}
    return len(desired.routes) - sum(_is(there.get(_key(one)), one) for one in _wanted(desired, reading))


def _routes(desired: Desired, reading: Reading) -> Iterator[Change]:
    """What routes are to be written over, and then which are too much.

    Of thousands nearly all are right as a rule, so no second list of them is made.
    """
    left: dict[_Key, list[KernelRoute]] = {}
    for one in reading.routes:
        left.setdefault(_key(one), []).append(one)
    surplus: list[KernelRoute] = []
    for wanted in _wanted(desired, reading):
        others = left.pop(_key(wanted), [])
        wrong = [one for one in others if not _is(one, wanted)]
        if len(wrong) == len(others):
            yield Change(route.put(wanted), f"put {_text(wanted)}")
            wrong = wrong[1:]  # the first is written over
        surplus += wrong  # of several only what is right stays
    for one in chain(surplus, *left.values()):
        yield Change(route.delete(named(one)), f"removed {_text(one)}", _GONE)


def _wanted(desired: Desired, reading: Reading) -> Iterator[KernelRoute]:
    made = (_made(one, reading) for one in desired.routes.values())
    return (one for one in made if one is not None)


def _made(wanted: Route, reading: Reading) -> KernelRoute | None:
    """A route as the kernel takes it; None if its link is not there."""
    prefix = wanted.prefix
    metric = wanted.metric or (_DEFAULT_METRIC_IPV6 if prefix.version == IPV6 else None)
    made = KernelRoute(
        prefix.network_address.packed, prefix.prefixlen, priority=metric, protocol=PROTOCOL, mtu=wanted.mtu
    )
    if wanted.through is Through.NOTHING:
        made.kind = route.BLACKHOLE
        return made
    if wanted.through is Through.UPLINK:
        made.index = reading.uplink.index if reading.uplink else None
    elif reading.tunnel is not None:
        made.index, made.flags = reading.tunnel.index, route.ON_LINK
    made.gateway = wanted.gateway.packed if wanted.gateway else None
    made.source = wanted.source.packed if wanted.source else None
    return None if made.index is None else made


def _key(one: KernelRoute) -> _Key:
    return (one.destination, one.length, one.priority or 0)


def _is(there: KernelRoute | None, wanted: KernelRoute) -> bool:
    if there is None or there.kind != wanted.kind or there.mtu != wanted.mtu:
        return False
    if wanted.kind == route.BLACKHOLE:
        return True  # of IPv6 the kernel names a link all the same
    return (
        there.index == wanted.index
        and there.gateway == wanted.gateway
        and there.source == wanted.source
        and not (there.flags ^ wanted.flags) & route.ON_LINK
    )


def named(one: KernelRoute) -> KernelRoute:
    """What names a route that is to be removed, and no other."""
    return KernelRoute(
        one.destination,
        one.length,
        None if one.kind == route.BLACKHOLE else one.index,
        one.gateway,
        one.scope,
        priority=one.priority,
        protocol=PROTOCOL,
        kind=one.kind,
    )


def _text(one: KernelRoute) -> str:
    said = f"{_KINDS.get(one.kind, 'route')} {ip_address(one.destination)}/{one.length}"
    if one.gateway is not None:
        said += f" by {ip_address(one.gateway)}"
    return said if one.mtu is None else f"{said}, mtu {one.mtu}"


def _new_on_tunnel(desired: Desired, reading: Reading) -> Iterator[Change]:
    if reading.tunnel is None or desired.tunnel is None:
        return
    index = reading.tunnel.index
    sending = {one.mac: one for one in reading.forwarding}
    for mac, node in desired.forwarding.items():
        old = sending.get(mac)
        if old is None or old.address != node.packed or not old.state & neighbour.PERMANENT:
            new = Neighbour(index, node.packed, mac, of=family.BRIDGE, flags=neighbour.SELF)
            yield Change(neighbour.put(new), f"put {mac.hex(':')} in {TUNNEL} to {node}")
    known = {one.address: one for one in reading.neighbours}
    for pod_address, mac in desired.neighbours.items():
        old = known.get(pod_address.packed)
        if old is None or old.mac != mac or not old.state & neighbour.PERMANENT:
            new = Neighbour(index, pod_address.packed, mac)
            yield Change(neighbour.put(new), f"put neighbour {pod_address} with {mac.hex(':')}")
    there = {(one.address, one.length) for one in reading.addresses}
    for own in desired.tunnel.addresses:
        if (own.packed, own.max_prefixlen) not in there:
            made = LinkAddress(
                index, own.packed, own.max_prefixlen, address.NO_DETECTION | address.NO_PREFIX_ROUTE
            )
            yield Change(address.put(made), f"put address {own} on {TUNNEL}")


def _old_on_tunnel(desired: Desired, reading: Reading) -> Iterator[Change]:
    """What is too much on the device, which is the agent's alone."""
    if reading.tunnel is None or desired.tunnel is None:
        return
    known = {one.packed for one in desired.neighbours}
    for one in reading.neighbours:
        # The kernel itself keeps those for multicast, which need no ARP.
        if one.address is not None and one.address not in known and not one.state & neighbour.NO_ARP:
            said = f"removed neighbour {ip_address(one.address)}"
            yield Change(neighbour.delete(one), said, _GONE)
    for one in reading.forwarding:
        if one.mac is not None and one.mac not in desired.forwarding:
            said = f"removed {one.mac.hex(':')} from {TUNNEL}"
            yield Change(neighbour.delete(one), said, _GONE)
    own = {(one.packed, one.max_prefixlen) for one in desired.tunnel.addresses}
    for other in reading.addresses:
        if (other.address, other.length) not in own:
            said = f"removed address {ip_address(other.address)}/{other.length} from {TUNNEL}"
            yield Change(address.delete(other), said, _GONE)
