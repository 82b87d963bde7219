"""What a host side lacks of what the main plugin gave it, and putting it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from netlink import address, family, neighbour, route
from netlink.connection import Connection
from netlink.message import Request
from netlink.neighbour import Neighbour
from netlink.route import Route
from node_agent.host_sides.reading import HostSide, Standing
from veth_plugin import address as addresses
from veth_plugin.configuration import DEFAULT_GATEWAYS
from veth_plugin.kernel.routed import gateway_address, host_route, prefix_route

_DEFAULT = {family.of(one): one for one in map(addresses.parse, DEFAULT_GATEWAYS)}
_THERE_OR_GONE = (17, 19, 3)  # EEXIST: another has it by now; ENODEV, ESRCH: it went meanwhile


class Part(Enum):
    """What the main plugin writes of a host side."""

    GATEWAY = auto()
    NEIGHBOUR = auto()
    ROUTE = auto()
    SOURCE = auto()


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not as it shall be: an address's neighbour, route or route's source, or a family's gateway.

    With a `length` it is the route of a prefix that begins with the address.
    """

    part: Part
    address: bytes
    length: int | None = None

    def __str__(self) -> str:
        shown = addresses.text(self.address)
        return f"{self.part.name.lower()} {shown if self.length is None else f'{shown}/{self.length}'}"


def lacks(
    side: HostSide,
    there: Standing,
    sources: Mapping[int, bytes],
    before: tuple[bytes, ...] = (),
) -> list[Lack]:
    """What is missing or wrong, in the order in which it is to be written. Pure.

    `sources` are the node's own addresses by family: a route that was made before there was one has none.
    `before` are gateways that were seen at the host side: a network may have others than the usual ones.
    """
    found = []
    usual = {**_DEFAULT, **{family.of(one): one for one in before}}
    for of in side.families:
        if not any(family.of(one) == of for one in there.gateways):
            found.append(Lack(Part.GATEWAY, usual[of]))
    for one in side.addresses:
        if there.mac is not None and not _is_permanent(there.neighbours.get(one), there.mac):
            found.append(Lack(Part.NEIGHBOUR, one))
    ways: list[tuple[bytes, int | None]] = [(one, None) for one in side.addresses]
    for one, length in (*ways, *side.prefixes):
        way = one, addresses.bits(one) if length is None else length
        if way not in there.routed:
            found.append(Lack(Part.ROUTE, one, length))
        elif there.routed[way] is None and family.of(one) in sources:
            found.append(Lack(Part.SOURCE, one, length))
    return found


def at_once(lack: Lack) -> bool:
    """Whether it may be written at any moment.

    A gateway and a route are made by an ADD that fails if they are there already: the agent must not come
    before it. Writing a neighbour, or the source of a route that is there, takes nothing from anybody.
    """
    return lack.part in (Part.NEIGHBOUR, Part.SOURCE)


def put_back(
    node: Connection, side: HostSide, there: Standing, sources: Mapping[int, bytes], lacking: list[Lack]
) -> list[str]:
    """Write it. What the kernel refused, in words. Raises OSError."""
    refused = []
    steps = [(one, each) for one in lacking for each in _requests(side, there, one, sources)]
    answers = node.exchange([request for _, request in steps])
    for (one, _), answer in zip(steps, answers, strict=True):
        if answer.refusal is not None and answer.refusal.errno not in _THERE_OR_GONE:
            refused.append(
                f"{one}: error {answer.refusal.errno} of the kernel {answer.refusal.text}".rstrip()
            )
    return refused


def _requests(side: HostSide, there: Standing, lack: Lack, sources: Mapping[int, bytes]) -> list[Request]:
    one = lack.address
    if lack.part is Part.GATEWAY:
        return [address.add(gateway_address(side.index, one))]
    if lack.part is Part.NEIGHBOUR:
        return [neighbour.put(Neighbour(side.index, one, there.mac))]
    added = route.add(_way(side, lack, sources.get(family.of(one))))
    if lack.part is Part.ROUTE:
        return [added]
    # In place of the route that is there, but never of one that another host side has got meanwhile.
    return [route.delete(_way(side, lack, None)), added]


def _way(side: HostSide, lack: Lack, source: bytes | None) -> Route:
    """The route to a container's address, or to a prefix behind it."""
    if lack.length is None:
        return host_route(side.index, lack.address, source)
    own = next(one for one in side.addresses if len(one) == len(lack.address))
    return prefix_route(side.index, (lack.address, lack.length), own, source)


def _is_permanent(entry: Neighbour | None, mac: bytes) -> bool:
    return entry is not None and entry.mac == mac and bool(entry.state & neighbour.PERMANENT)
