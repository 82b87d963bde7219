"""What the running agent tells of the pod network, as far as an examination needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from node_agent.pod_network.network import Address, Mode, Prefix

_WITH_TUNNEL: Final = (Mode.AUTO, Mode.VXLAN)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its own address, and all by which it answers like a pod would."""

    name: str
    address: Address
    answering: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The pod network. `own` are this node's addresses in it, or its only one if pods go without a tunnel."""

    mode: Mode
    mtu: int
    port: int | None
    uplink: str | None
    own: tuple[Address, ...]
    peers: tuple[Peer, ...]
    pools: Mapping[str, Prefix]

    def has_tunnel(self) -> bool:
        return self.mode in _WITH_TUNNEL

    def families(self) -> set[int]:
        """The families of pods, 4 or 6."""
        return {subnet.version for subnet in self.pools.values()}


def read(document: dict[str, Any] | None) -> Told | None:
    """Read what the agent tells. None as long as it carries no pod network, or does not know it yet."""
    if document is None or document["mode"] is None or document["mtu"] is None:
        return None
    mode = Mode(document["mode"])
    own = _ends(mode, document)
    peers = tuple(
        Peer(one["name"], ip_address(one["address"]), _ends(mode, one)) for one in document["peers"]
    )
    pools = {one["name"]: ip_network(one["subnet"]) for one in document["pools"]}
    return Told(mode, document["mtu"], document["port"], document["uplink"], own, peers, pools)


def _ends(mode: Mode, document: dict[str, Any]) -> tuple[Address, ...]:
    """Without a tunnel's device no node has its addresses in the pod network."""
    told = document["pod_addresses"] if mode in _WITH_TUNNEL else [document["address"]]
    return tuple(map(ip_address, filter(None, told)))
