"""The pod network of a cluster: its settings, what its nodes publish, and what is announced of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from ipamd.models.address import IPAddress, IPNetwork
from ipamd.models.instant import Instant

DEFAULT_VXLAN_PORT: Final = 8751
DEFAULT_VNI: Final = 8751
"""Neither is Flannel's (8472 and 1) or Calico's (4789 and 4096): both may run beside ipamd for a while."""


class PodNetworkMode(StrEnum):
    """How packets of pods reach another node."""

    AUTO = "auto"  # directly where a probe proved it, else by vxlan
    DIRECT = "direct"
    VXLAN = "vxlan"
    NONE = "none"  # the agents set no routes


class Underlay(StrEnum):
    """The address family in which nodes reach each other. It carries both families of pods."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def family(self) -> int:
        return 4 if self is Underlay.IPV4 else 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNetwork:
    """The settings of a cluster's pod network. There is none before the first node publishes.

    Packets of pods to `masquerade_except` keep their source. With `check_sources` a node drops what a pod
    sends from an address that is not its own.
    """

    cluster: str
    mode: PodNetworkMode = PodNetworkMode.AUTO
    underlay: Underlay = Underlay.IPV4
    vxlan_port: int = DEFAULT_VXLAN_PORT
    vxlan_vni: int = DEFAULT_VNI
    masquerade_except: tuple[IPNetwork, ...] = ()
    check_sources: bool = True
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a node says of itself to the other nodes of its pod network.

    `machine` tells two machines of one name apart (the DMI product UUID). `prefixes` are those of the
    device that has `address`, `mtu` is that device's, `mac` that of the node's vxlan device. `version` is
    the agent's, None if it did not say. `at` is when the node published this.
    """

    machine: str
    address: IPAddress
    prefixes: tuple[IPNetwork, ...]
    mtu: int
    mac: str
    version: str | None = None
    at: Instant = 0


class AnnouncedKind(StrEnum):
    """What of a pod network has changed: one node, the announced pools, or the settings."""

    NODE = "node"
    POOLS = "pools"
    SETTINGS = "settings"


class Announced(NamedTuple):
    """Something announced that a transaction changes; `name` is a node's, empty for the other kinds."""

    cluster: str
    kind: AnnouncedKind
    name: str = ""


NO_EPOCH: Final = "none"
"""The epoch of a cluster of which nothing was ever announced."""


class NetworkPosition(NamedTuple):
    """A place in the changes of a cluster's pod network: `number` counts them within an `epoch`."""

    epoch: str = NO_EPOCH
    number: int = 0


class NodeBlock(NamedTuple):
    """A block that belongs to a node, by its number."""

    node: str
    pool: str
    first: int


class NodeAddress(NamedTuple):
    """A single address that is announced for a node."""

    node: str
    pool: str
    address: IPAddress
