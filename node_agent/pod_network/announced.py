"""Reads what ipamd announces of the pod network: all of it, or what has changed.

There may be thousands of nodes. So each is made a value by itself, and nothing else of the document is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec
from msgspec import Raw, Struct

from node_agent.pod_network.network import IPV4, IPV6, Mode, Network, Peer, Pool, Prefix, Settings


class Malformed(ValueError):
    """What ipamd announces cannot be read: says which part."""


class _Vxlan(Struct):
    port: int
    vni: int


class _Settings(Struct):
    mode: Mode
    underlay: str
    vxlan: _Vxlan
    masquerade_except: list[str]
    check_sources: bool


class _Pool(Struct):
    name: str
    subnet: str
    masquerade: bool


class _Node(Struct):
    name: str
    machine: str
    address: str
    prefixes: list[str]
    mtu: int
    mac: str
    pod_addresses: list[str]
    blocks: list[str]
    borrowed: list[str]


class _Whole(Struct):
    epoch: str
    number: int
    settings: _Settings
    pools: list[_Pool]
    nodes: list[Raw]


class _Changes(Struct):
    number: int
    nodes: list[Raw]
    removed: list[str]
    settings: _Settings | None = None
    pools: list[_Pool] | None = None


_WHOLE: Final = msgspec.json.Decoder(_Whole)
_CHANGES: Final = msgspec.json.Decoder(_Changes)
_NODE: Final = msgspec.json.Decoder(_Node)


def read(document: bytes) -> Network:
    """The network as `GET /v1/network` tells it. Raises Malformed."""
    try:
        told = _WHOLE.decode(document)
        nodes = {peer.name: peer for peer in map(_peer, told.nodes)}
        return Network(
            told.epoch, told.number, _settings(told.settings), tuple(map(_pool, told.pools)), nodes
        )
    except ValueError as error:
        raise Malformed(f"the network that ipamd announces: {error}") from error


def changes(network: Network, document: bytes) -> Network:
    """The network after what `GET /v1/network/changes` tells. Raises Malformed."""
    try:
        told = _CHANGES.decode(document)
        nodes = {name: one for name, one in network.nodes.items() if name not in told.removed}
        nodes.update((peer.name, peer) for peer in map(_peer, told.nodes))
        return replace(
            network,
            number=told.number,
            nodes=nodes,
            settings=network.settings if told.settings is None else _settings(told.settings),
            pools=network.pools if told.pools is None else tuple(map(_pool, told.pools)),
        )
    except ValueError as error:
        raise Malformed(f"the changes that ipamd announces: {error}") from error


def _peer(document: Raw) -> Peer:
    told = _NODE.decode(document)
    return Peer(
        told.name,
        told.machine,
        ip_address(told.address),
        tuple(map(_of_link, told.prefixes)),
        told.mtu,
        bytes.fromhex(told.mac.replace(":", "")),
        tuple(ip_address(one.partition("/")[0]) for one in told.pod_addresses),
        _prefixes(told.blocks),
        _prefixes(told.borrowed),
    )


def _settings(told: _Settings) -> Settings:
    return Settings(
        told.mode,
        IPV6 if told.underlay == "ipv6" else IPV4,
        told.vxlan.port,
        told.vxlan.vni,
        _prefixes(told.masquerade_except),
        told.check_sources,
    )


def _pool(told: _Pool) -> Pool:
    return Pool(told.name, ip_network(told.subnet), told.masquerade)


def _prefixes(texts: Iterable[str]) -> tuple[Prefix, ...]:
    return tuple(map(ip_network, texts))


@lru_cache(maxsize=1024)
def _of_link(text: str) -> Prefix:
    """The prefix of a node's link, which it shares with many others."""
    return ip_network(text)
