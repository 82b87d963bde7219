"""How packets go between two nodes: decided from what both publish, so that both ends decide alike."""

from __future__ import annotations

from node_agent.pod_network.network import Address, Mode, Peer, Prefix


def are_adjacent(one: Peer, other: Peer) -> bool:
    """Whether each node's address is in a prefix of the other's link: no router is between them."""
    return _is_in(one.address, other.prefixes) and _is_in(other.address, one.prefixes)


def mode_of_pair(setting: Mode, one: Peer, other: Peer, *, answered: bool) -> Mode:
    """DIRECT, VXLAN, or NONE if nothing carries packets between the two.

    `answered` is whether a probe with the nodes' addresses in the pod network came back without a tunnel: a
    cloud or a switch may drop such packets on one link too.
    """
    if setting is Mode.VXLAN or setting is Mode.NONE:
        return setting
    adjacent = are_adjacent(one, other)
    if setting is Mode.DIRECT:
        return Mode.DIRECT if adjacent else Mode.NONE
    return Mode.DIRECT if adjacent and answered else Mode.VXLAN


def _is_in(address: Address, prefixes: tuple[Prefix, ...]) -> bool:
    return any(address in prefix for prefix in prefixes)
