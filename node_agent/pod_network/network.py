"""What ipamd announces of a cluster's pod network: settings, pools, nodes; and what changes of these mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

IPV4, IPV6 = 4, 6


class Mode(StrEnum):
    """How packets between nodes are carried."""

    AUTO = "auto"
    DIRECT = "direct"
    VXLAN = "vxlan"
    NONE = "none"


class Malformed(ValueError):
    """What ipamd announces cannot be read: says which part."""


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

    def changed(self, document: Mapping[str, Any]) -> Network:
        """The network after a list of changes. Raises Malformed."""
        nodes = {name: one for name, one in self.nodes.items() if name not in document["removed"]}
        nodes.update(_by_name(document["nodes"]))
        changed = replace(self, number=document["number"], nodes=nodes)
        if document.get("settings") is not None:
            changed = replace(changed, settings=_settings(document["settings"]))
        if document.get("pools") is not None:
            changed = replace(changed, pools=tuple(map(_pool, document["pools"])))
        return changed


def read(document: Mapping[str, Any]) -> Network:
    """The network as `GET /v1/network` tells it. Raises Malformed."""
    with _reading("the network"):
        return Network(
            document["epoch"],
            document["number"],
            _settings(document["settings"]),
            tuple(map(_pool, document["pools"])),
            _by_name(document["nodes"]),
        )


def changes(network: Network, document: Mapping[str, Any]) -> Network:
    """The network after what `GET /v1/network/changes` tells. Raises Malformed."""
    with _reading("the changes"):
        return network.changed(document)


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise Malformed(f"{what} that ipamd announces: {error} is missing") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise Malformed(f"{what} that ipamd announces: {error}") from error


def _peer(document: Mapping[str, Any]) -> Peer:
    return Peer(
        document["name"],
        document["machine"],
        ip_address(document["address"]),
        _prefixes(document["prefixes"]),
        document["mtu"],
        bytes.fromhex(document["mac"].replace(":", "")),
        tuple(ip_address(one.partition("/")[0]) for one in document["pod_addresses"]),
        _prefixes(document["blocks"]),
        _prefixes(document["borrowed"]),
    )


def _settings(document: Mapping[str, Any]) -> Settings:
    return Settings(
        Mode(document["mode"]),
        IPV6 if document["underlay"] == "ipv6" else IPV4,
        document["vxlan"]["port"],
        document["vxlan"]["vni"],
        _prefixes(document["masquerade_except"]),
        document["check_sources"],
    )


def _pool(document: Mapping[str, Any]) -> Pool:
    return Pool(document["name"], ip_network(document["subnet"]), document["masquerade"])


def _by_name(documents: Iterable[Mapping[str, Any]]) -> dict[str, Peer]:
    return {one.name: one for one in map(_peer, documents)}


def _prefixes(texts: Iterable[str]) -> tuple[Prefix, ...]:
    return tuple(map(ip_network, texts))
