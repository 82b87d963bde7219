"""The pod network of a cluster as JSON: settings, announced pools, nodes and their addresses."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, StringConstraints
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Address, Document, Number, Prefix, Word
from ipamd.engine.inspection.pod_network import AnnouncedNode, NetworkView
from ipamd.models import documents
from ipamd.models.address import IPAddress, IPNetwork, parse_address, parse_network
from ipamd.models.errors import InvalidValue
from ipamd.models.instant import rfc3339
from ipamd.models.pod_network import PodNetwork, PodNetworkMode, Published, Underlay
from ipamd.models.pool import DEFAULT_CLUSTER

LONGEST_WAIT = 60
MOST_PREFIXES = 64
LARGEST_VNI = (1 << 24) - 1
SMALLEST_MTU = 1280
"""IPv6 needs it (RFC 8200, section 5)."""

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _unicast_mac(text: str) -> str:
    text = text.lower()
    if _MAC.fullmatch(text) is None or int(text[:2], 16) & 1:
        raise ValueError("is not the address of a device, such as 02:00:5e:10:00:01")
    return text


Mac = Annotated[str, StringConstraints(max_length=17), AfterValidator(_unicast_mac)]


class NetworkQuery(Document):
    """Which cluster. An agent says which node and machine it speaks for, so that it counts as alive."""

    cluster: Word = DEFAULT_CLUSTER
    node: Word | None = None
    machine: Word | None = None


class ChangesQuery(NetworkQuery):
    """After which number of which epoch, and how many seconds to wait if nothing has changed."""

    epoch: Word
    after: Annotated[Number, Field(ge=0, le=(1 << 63) - 1)]
    wait: Annotated[Number, Field(ge=0, le=LONGEST_WAIT)] = 0


class VxlanPatch(Document):
    """The UDP port and the network identifier of the overlay. Null means the default."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    vni: Annotated[int, Field(ge=1, le=LARGEST_VNI)] | None = None


class NetworkPatch(Document):
    """A merge patch (RFC 7396) of the settings: an absent field stays, null resets it."""

    mode: Literal["auto", "direct", "vxlan", "none"] | None = None
    underlay: Literal["ipv4", "ipv6"] | None = None
    vxlan: VxlanPatch | None = None
    masquerade_except: Annotated[list[Prefix], Field(max_length=MOST_PREFIXES)] | None = None
    check_sources: bool | None = None

    def apply(self, network: PodNetwork) -> PodNetwork:
        """The changed settings."""
        default = PodNetwork(cluster=network.cluster)
        given = self.model_dump(exclude_unset=True)
        vxlan = given.pop("vxlan", {})
        if vxlan is None:
            vxlan = {"port": None, "vni": None}
        given |= {f"vxlan_{field}": value for field, value in vxlan.items()}
        read: dict[str, Any] = {
            "mode": PodNetworkMode,
            "underlay": Underlay,
            "masquerade_except": lambda prefixes: tuple(map(parse_network, prefixes)),
        }
        changed = {
            field: getattr(default, field) if value is None else read.get(field, lambda given: given)(value)
            for field, value in given.items()
        }
        return replace(network, **changed)


class Publication(Document):
    """What a node says of itself to the other nodes."""

    machine: Word = Field(description="Tells machines of one name apart: the DMI product UUID.")
    address: Address = Field(description="Where the other nodes reach it.")
    prefixes: Annotated[list[Prefix], Field(max_length=MOST_PREFIXES)] = Field(
        description="The prefixes of the device that has the address."
    )
    mtu: Annotated[int, Field(ge=SMALLEST_MTU, le=65_535)] = Field(description="That device's.")
    mac: Mac = Field(description="The address of the node's vxlan device.")
    version: Word | None = Field(None, description="The agent's.")

    def value(self) -> Published:
        """The same as a value. Raises InvalidValue."""
        address = parse_address(self.address)
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            raise InvalidValue("address", f"{address} is not an address by which other nodes reach this one")
        return Published(
            machine=self.machine,
            address=address,
            prefixes=tuple(sorted(map(parse_network, self.prefixes), key=_order)),
            mtu=self.mtu,
            mac=self.mac,
            version=self.version,
        )


class ShownVxlan(TypedDict):
    """The UDP port and the network identifier of the overlay."""

    port: int
    vni: int


class ShownSettings(TypedDict):
    """The settings of a pod network."""

    mode: Literal["auto", "direct", "vxlan", "none"]
    underlay: Literal["ipv4", "ipv6"]
    vxlan: ShownVxlan
    masquerade_except: list[str]
    check_sources: bool


class AnnouncedPool(TypedDict):
    """A pool whose blocks are routed between nodes."""

    name: str
    subnet: str
    masquerade: bool


class ShownMember(TypedDict):
    """A node of the pod network. `borrowed` are single addresses outside its own blocks."""

    name: str
    machine: str
    address: str
    prefixes: list[str]
    mtu: int
    mac: str
    version: str | None
    pod_addresses: list[str]
    blocks: list[str]
    borrowed: list[str]
    last_seen: str | None


class ShownNetwork(TypedDict):
    """The pod network of a cluster. Its changes from `number` of `epoch` on are at `/v1/network/changes`."""

    cluster: str
    epoch: str
    number: int
    settings: ShownSettings
    pools: list[AnnouncedPool]
    nodes: list[ShownMember]


class ShownChanges(TypedDict):
    """What has changed: whole nodes, and the names of those that left. Null has not changed."""

    epoch: str
    number: int
    settings: ShownSettings | None
    pools: list[AnnouncedPool] | None
    nodes: list[ShownMember]
    removed: list[str]


def settings_document(network: PodNetwork) -> ShownSettings:
    """The settings as they are shown, and as a patch takes them."""
    return cast(ShownSettings, documents.settings_document(network))


def member_document(node: AnnouncedNode) -> ShownMember:
    """A node as it is shown."""
    known = node.published
    return {
        "name": node.name,
        "machine": known.machine,
        "address": str(known.address),
        "prefixes": [str(prefix) for prefix in known.prefixes],
        "mtu": known.mtu,
        "mac": known.mac,
        "version": known.version,
        "pod_addresses": [str(address) for address in node.own],
        "blocks": [str(block) for block in node.blocks],
        "borrowed": [f"{address}/{address.max_prefixlen}" for address in node.borrowed],
        "last_seen": rfc3339(node.heard) if node.heard is not None else None,
    }


def network_document(view: NetworkView) -> ShownNetwork:
    """All of a pod network."""
    settings = view.settings or PodNetwork(cluster=view.cluster)
    return {
        "cluster": view.cluster,
        "epoch": view.position.epoch,
        "number": view.position.number,
        "settings": settings_document(settings),
        "pools": _pools(view) or [],
        "nodes": [member_document(node) for node in view.nodes],
    }


def changes_document(view: NetworkView) -> ShownChanges:
    """What has changed of a pod network."""
    return {
        "epoch": view.position.epoch,
        "number": view.position.number,
        "settings": settings_document(view.settings) if view.settings is not None else None,
        "pools": _pools(view),
        "nodes": [member_document(node) for node in view.nodes],
        "removed": list(view.removed),
    }


def _pools(view: NetworkView) -> list[AnnouncedPool] | None:
    if view.pools is None:
        return None
    return [
        {"name": pool.name, "subnet": str(pool.subnet), "masquerade": pool.masquerade} for pool in view.pools
    ]


def _order(prefix: IPNetwork) -> tuple[int, int, int]:
    first: IPAddress = prefix.network_address
    return prefix.version, int(first), prefix.prefixlen
