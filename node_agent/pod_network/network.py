"""What ipamd announces of a cluster's pod network: settings, pools, nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

IPV4, IPV6 = 4, 6


class Mode(StrEnum):
    """How packets between nodes are carried."""

    AUTO = "auto"
    DIRECT = "direct"
    VXLAN = "vxlan"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole cluster. `underlay` is the family of the nodes' addresses, 4 or 6."""

    mode: Mode = Mode.AUTO
    underlay: int = IPV4
    port: int = 8751
    vni: int = 8751
    masquerade_except: tuple[Prefix, ...] = ()
    check_sources: bool = True


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that is announced. With `masquerade` its pods leave the pod network with a node's address."""

    name: str
    subnet: Prefix
    masquerade: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """A node. `prefixes` are those of the link that has its address, `blocks` and `borrowed` its pods'."""

    name: str
    machine: str
    address: Address
    prefixes: tuple[Prefix, ...]
    mtu: int
    mac: bytes
    pod_addresses: tuple[Address, ...]
    blocks: tuple[Prefix, ...]
    borrowed: tuple[Prefix, ...]

    def pod_address(self, family: int) -> Address | None:
        """Its own address in the pod network, None if it has none of a family."""
        return next((one for one in self.pod_addresses if one.version == family), None)


@dataclass(frozen=True, slots=True)
class Network:
    """All of it, as of a number in the order of changes of an epoch."""

    epoch: str
    number: int
    settings: Settings
    pools: tuple[Pool, ...]
    nodes: Mapping[str, Peer] = field(default_factory=dict)

    def is_complete(self, node: Peer) -> bool:
        """Whether a node has an address of its own of each family that pods have."""
        return all(node.pod_address(pool.subnet.version) is not None for pool in self.pools)

    def is_before(self, other: Network | None) -> bool:
        """Whether this is older than another one of the same epoch."""
        return other is not None and self.epoch == other.epoch and self.number < other.number
