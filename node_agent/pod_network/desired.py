"""What the kernel of a node shall have, computed from what ipamd announces. Pure.

The pods of the underlay's family go directly if the pair does. Those of the other family go by the tunnel
in any case: their next hop would need an address that nodes do not publish.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256
from ipaddress import IPv6Address

from node_agent.pod_network.network import IPV4, IPV6, Address, Mode, Network, Peer, Prefix
from node_agent.pod_network.pairing import mode_of_pair

LAST_METRIC = 0xFFFFFFFF
"""Of a route that counts only if there is no other."""
SINGLE_METRIC = 2048
"""Of a route to a single address of a peer's. The plugin's route to a container of this node has a smaller
one. So both are there while an address moves, and a node reaches its own container while that lives.
"""
_OVERHEAD = {IPV4: 50, IPV6: 70}
"""What a packet in the tunnel grows by: headers of Ethernet, IP, UDP and vxlan."""
_LEAST_MTU = {IPV4: 68, IPV6: 1280}


class Through(Enum):
    """What a route leads to."""

    UPLINK = auto()
    TUNNEL = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """A route to a prefix. Through NOTHING it drops what no longer prefix takes."""

    prefix: Prefix
    through: Through
    gateway: Address | None = None
    source: Address | None = None
    mtu: int | None = None
    metric: int = 0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The vxlan device of the node, and its addresses in the pod network."""

    vni: int
    port: int
    local: Address
    mac: bytes
    mtu: int
    addresses: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Filters:
    """What the packet filters shall know. Addresses are of nodes unless they are called pods'."""

    own: Address
    port: int
    check_sources: bool
    pods: frozenset[Prefix]
    """All pods, of all nodes."""
    masqueraded: frozenset[Prefix]
    """Pods that leave the pod network with a node's address."""
    excepted: frozenset[Prefix]
    """Where they keep their own."""
    direct: frozenset[Address]
    """Peers that know the way back to pods without a tunnel."""
    tunnel_peers: frozenset[Address]
    """Peers that may send by the tunnel."""
    tunnel_addresses: frozenset[Address]
    """The node's own in the pod network."""


@dataclass(slots=True)
class Desired:
    """All that the kernel shall have, and what stands in the way of more."""

    mtu: int
    """The MTU of pods."""
    tunnel: Tunnel | None
    filters: Filters
    routes: dict[tuple[Prefix, int], Route] = field(default_factory=dict)
    """By prefix and metric."""
    neighbours: dict[Address, bytes] = field(default_factory=dict)
    """In the tunnel, the MAC of each peer by its next hops."""
    forwarding: dict[bytes, Address] = field(default_factory=dict)
    """Where the tunnel sends what is for a MAC."""
    modes: dict[str, Mode] = field(default_factory=dict)
    """How packets go to each peer."""
    faults: list[str] = field(default_factory=list)


class Conflict(Exception):
    """What is announced contradicts this node, so nothing is to be written: says both sides."""


def mac_of(cluster: str, node: str) -> bytes:
    """The MAC of a node's tunnel: always the same, so that a node made anew is known by its peers at once."""
    hashed = sha256(f"{len(cluster)} {cluster}/{node}".encode()).digest()
    return bytes([hashed[0] & 0xFC | 0x02]) + hashed[1:6]


def compute(network: Network, name: str, answered: Set[str], service: Address | None = None) -> Desired:
    """What the node of a name needs; `answered` are the peers whose probe came back. Raises Conflict.

    `service` is an address of the Service network, if one is known.
    """
    own = network.nodes.get(name)
    if own is None:
        raise Conflict(f"ipamd announces no node {name}, which this is")
    _refuse_overlaps(network, own, service)
    overhead = _OVERHEAD[network.settings.underlay]
    carried = network.settings.mode in (Mode.AUTO, Mode.VXLAN)
    found = Desired(
        own.mtu - overhead if carried else own.mtu,
        _tunnel(network, own, own.mtu - overhead) if carried else None,
        _filters(network, own),
    )
    _add_own(found, network, own)
    direct: set[Address] = set()
    peers = [one for one in network.nodes.values() if one.name != name]
    for peer in peers:
        if not _is_usable(found, peer, own):
            continue
        mode = mode_of_pair(network.settings.mode, own, peer, answered=peer.name in answered)
        found.modes[peer.name] = mode
        if mode is Mode.DIRECT or network.settings.mode is Mode.NONE:
            direct.add(peer.address)
        if mode is Mode.NONE and network.settings.mode is Mode.DIRECT:
            said = f"{peer.address} is on no link of {own.address}, and mode is direct"
            found.faults.append(f"node {peer.name} is not reached: {said}")
        if mode is not Mode.NONE:
            _add_peer(found, network, own, peer, mode)
    found.filters = _filters(network, own, frozenset(direct), frozenset(found.forwarding.values()))
    return found


def _refuse_overlaps(network: Network, own: Peer, service: Address | None) -> None:
    for pool in network.pools:
        if service is not None and service in pool.subnet:
            raise Conflict(
                f"pool {pool.name} ({pool.subnet}) overlaps the Service network, to which {service} belongs: "
                "give the pool another subnet"
            )
        for prefix in own.prefixes:
            if pool.subnet.version == prefix.version and pool.subnet.overlaps(prefix):
                raise Conflict(
                    f"pool {pool.name} ({pool.subnet}) overlaps {prefix}, the network of this node's own "
                    f"address {own.address}: give the pool another subnet"
                )


def _tunnel(network: Network, own: Peer, mtu: int) -> Tunnel:
    settings = network.settings
    return Tunnel(settings.vni, settings.port, own.address, own.mac, mtu, frozenset(own.pod_addresses))


def _filters(
    network: Network,
    own: Peer,
    direct: frozenset[Address] = frozenset(),
    tunnel_peers: frozenset[Address] = frozenset(),
) -> Filters:
    return Filters(
        own.address,
        network.settings.port,
        network.settings.check_sources,
        frozenset(one.subnet for one in network.pools),
        frozenset(one.subnet for one in network.pools if one.masquerade),
        frozenset(network.settings.masquerade_except),
        direct,
        tunnel_peers,
        frozenset(own.pod_addresses),
    )


def _add_own(found: Desired, network: Network, own: Peer) -> None:
    """What is for no pod ends here, and does not go round between this node and its router."""
    for block in own.blocks:
        if block.prefixlen < block.max_prefixlen:
            _put(found, Route(block, Through.NOTHING), own.name)
    if network.settings.mode is not Mode.NONE:  # if others route pods, a pool's packets may leave by theirs
        for pool in network.pools:
            _put(found, Route(pool.subnet, Through.NOTHING, metric=LAST_METRIC), own.name)


def _is_usable(found: Desired, peer: Peer, own: Peer) -> bool:
    """Whether a peer is told from this node and from those before it; else a fault names both."""
    other = own.name if peer.address == own.address or peer.mac == own.mac else None
    if peer.mac in found.forwarding:
        other = f"the one at {found.forwarding[peer.mac]}"
    if other is None and peer.address.version == own.address.version:
        return True
    if other is None:
        said = f"its address {peer.address} is of another family than this node's {own.address}"
    else:
        said = f"it has the same address {peer.address}, or MAC, as node {other}"
    found.faults.append(f"node {peer.name} is not reached: {said}")
    return False


def _add_peer(found: Desired, network: Network, own: Peer, peer: Peer, mode: Mode) -> None:
    mtu = min(own.mtu, peer.mtu)
    inside = mtu - _OVERHEAD[network.settings.underlay]
    for prefix, metric in _prefixes(peer):
        if mode is Mode.DIRECT and prefix.version == peer.address.version:
            _put(found, Route(prefix, Through.UPLINK, peer.address, mtu=mtu, metric=metric), peer.name)
            continue
        gateway = _gateway(peer, prefix.version)
        if found.tunnel is None or gateway is None or inside < _LEAST_MTU[prefix.version]:
            found.faults.append(f"node {peer.name}: {prefix} is not reached: {_why(found, gateway, inside)}")
            continue
        source = own.pod_address(prefix.version)
        _put(found, Route(prefix, Through.TUNNEL, gateway, source, inside, metric), peer.name)
    if found.tunnel is not None:
        for family in (IPV4, IPV6):
            next_hop = _gateway(peer, family)
            if next_hop is not None:
                found.neighbours[next_hop] = peer.mac
        found.forwarding[peer.mac] = peer.address


def _put(found: Desired, route: Route, node: str) -> None:
    key = (route.prefix, route.metric)
    if key in found.routes:
        found.faults.append(f"{route.prefix} is announced of node {node} and of another: the first has it")
    else:
        found.routes[key] = route


def _gateway(peer: Peer, family: int) -> Address | None:
    """A peer's next hop in the tunnel: of IPv4 its address among pods, of IPv6 a link-local one of its MAC.

    The kernel takes no next hop of IPv6 to which a route by another link leads, as one does while a peer's
    pods go directly.
    """
    if family == IPV4:
        return peer.pod_address(IPV4)
    mac = peer.mac
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])


def _why(found: Desired, gateway: Address | None, inside: int) -> str:
    if found.tunnel is None:
        return "it is not of the family of the nodes' addresses, and mode is direct, without a tunnel"
    if gateway is None:
        return "the node has no address of its own among pods"
    return f"packets in the tunnel have room for {inside} bytes only"


def _prefixes(peer: Peer) -> Iterator[tuple[Prefix, int]]:
    """What is announced of a peer, each with the metric of its route."""
    for block in peer.blocks:
        yield block, 0
    for single in peer.borrowed:
        yield single, SINGLE_METRIC
