"""What a host side lacks of what the main plugin gave it, and putting it back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from netlink import address, family, neighbour, route
from netlink.connection import Connection
from netlink.message import Request
from netlink.neighbour import Neighbour
from node_agent.host_sides.reading import HostSide, Standing
from veth_plugin import address as addresses
from veth_plugin.configuration import DEFAULT_GATEWAYS
from veth_plugin.kernel import uplink
from veth_plugin.kernel.routed import gateway_address, host_route

_DEFAULT = {family.of(one): one for one in map(addresses.parse, DEFAULT_GATEWAYS)}
_THERE_OR_GONE = (17, 19)  # EEXIST: another has it by now; ENODEV: the host side went meanwhile


class Part(Enum):
    """What the main plugin writes of a host side."""

    GATEWAY = auto()
    NEIGHBOUR = auto()
    ROUTE = auto()


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not as it shall be: an address's neighbour or route, or the gateway of a family."""

    part: Part
    address: bytes

    def __str__(self) -> str:
        return f"{self.part.name.lower()} {addresses.text(self.address)}"


def lacks(side: HostSide, there: Standing, before: tuple[bytes, ...] = ()) -> list[Lack]:
    """What is missing or wrong, in the order in which it is to be written. Pure.

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
    return found + [Lack(Part.ROUTE, one) for one in side.addresses if one not in there.routed]


def at_once(lack: Lack) -> bool:
    """Whether it may be written at any moment.

    A gateway and a route are made by an ADD that fails if they are there already: the agent must not come
    before it. Writing a neighbour takes nothing from anybody.
    """
    return lack.part is Part.NEIGHBOUR


def put_back(node: Connection, side: HostSide, there: Standing, lacking: list[Lack]) -> list[str]:
    """Write it. What the kernel refused, in words. Raises OSError, or Failure of the main plugin's."""
    sources = uplink.find(node).sources if any(one.part is Part.ROUTE for one in lacking) else {}
    refused = []
    requests = [_request(side, there, one, sources) for one in lacking]
    for one, answer in zip(lacking, node.exchange(requests), strict=True):
        if answer.refusal is not None and answer.refusal.errno not in _THERE_OR_GONE:
            refused.append(
                f"{one}: error {answer.refusal.errno} of the kernel {answer.refusal.text}".rstrip()
            )
    return refused


def _request(side: HostSide, there: Standing, lack: Lack, sources: dict[int, bytes]) -> Request:
    one = lack.address
    if lack.part is Part.GATEWAY:
        return address.add(gateway_address(side.index, one))
    if lack.part is Part.NEIGHBOUR:
        return neighbour.put(Neighbour(side.index, one, there.mac))
    return route.add(host_route(side.index, one, sources.get(family.of(one))))


def _is_permanent(entry: Neighbour | None, mac: bytes) -> bool:
    return entry is not None and entry.mac == mac and bool(entry.state & neighbour.PERMANENT)
