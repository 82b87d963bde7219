"""What the kernel of the node has now, as far as the pod network concerns it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from netlink import address, family, link, neighbour, route
from netlink.connection import Connection
from netlink.link import Link
from netlink.message import Request
from netlink.neighbour import Neighbour
from netlink.route import Route
from node_agent.pod_network.network import Address, Peer

TUNNEL = "vxlan.ipamd"
"""The name of the vxlan device. It does not begin like host sides do, for kube-proxy takes all of these."""
PROTOCOL = 151
"""By this number a route on the node says that the agent made it. Those of the main plugin say 150."""

_FAMILIES = (family.IPV4, family.IPV6)


@dataclass(slots=True)
class Reading:
    """What is there. Without the device there is nothing on it; `uplink` is the link with the own address."""

    uplink: Link | None
    tunnel: Link | None
    addresses: list[address.Address] = field(default_factory=list)
    """On the tunnel, and so are the next two."""
    neighbours: list[Neighbour] = field(default_factory=list)
    forwarding: list[Neighbour] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    """The agent's own."""


def read(routing: Connection, own: Address) -> Reading:
    """Read it. Raises OSError, or Interrupted if lists changed each time."""
    told = [address.decode(one) for one in routing.list_all(address.get_all(0))]
    uplinks = [one.index for one in told if one.address == own.packed]
    found = Reading(_link(routing, link.get(index=uplinks[0])) if uplinks else None, tunnel(routing))
    if found.tunnel is not None:
        index = found.tunnel.index
        found.addresses = [one for one in told if one.index == index]
        for of in _FAMILIES:
            found.neighbours += _entries(routing, index, of)
        found.forwarding = _entries(routing, index, family.BRIDGE)
    found.routes = routes(routing)
    return found


def routes(routing: Connection) -> list[Route]:
    """The agent's own routes. Raises OSError, or Interrupted."""
    found = []
    for of in _FAMILIES:
        listed = routing.list_all(route.get_all(of, protocol=PROTOCOL))
        found += [one for one in map(route.decode, listed) if one.protocol == PROTOCOL]
    return found


def reached_directly(there: list[Route], peers: Iterable[Peer]) -> set[str]:
    """The peers to which routes lead without the tunnel, by an earlier life of the agent."""
    gateways = {(one.destination, one.length): one.gateway for one in there}
    return {
        peer.name
        for peer in peers
        for block in peer.blocks
        if gateways.get((block.network_address.packed, block.prefixlen)) == peer.address.packed
    }


def tunnel(routing: Connection) -> Link | None:
    """The device of the tunnel's name. Raises OSError."""
    return _link(routing, link.get(TUNNEL))


def _link(routing: Connection, request: Request) -> Link | None:
    [answer] = routing.exchange([request])
    return link.decode(answer.messages[0]) if answer.messages else None


def _entries(routing: Connection, index: int, of: int) -> list[Neighbour]:
    listed = routing.list_all(neighbour.get_all(index, of))
    return [one for one in map(neighbour.decode, listed) if one.index == index]
