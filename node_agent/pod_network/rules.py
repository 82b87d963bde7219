"""The rules of table `inet ipamd` that are the agent's, named `network_…`. Pure.

- A pod keeps its address towards pods, multicast, what is excepted, and peers that know the way back to it.
  To all else, peers behind the tunnel included, it has the node's. The port is never the tunnel's, else an
  answer would be taken for a packet of the tunnel.
- What leaves by the tunnel with a source of the node's gets the node's address in the pod network: the answer
  to any other would come back outside the tunnel.
- The tunnel's port is open to peers alone, and their packets are not tracked.
- A container sends with its own address only.
"""

from __future__ import annotations

from typing import Final

from netlink import expression, nftables, route
from netlink.nftables import Chain
from node_agent.pod_network.desired import Filters
from node_agent.pod_network.network import IPV4, IPV6
from node_agent.pod_network.reading import TUNNEL
from veth_plugin.kernel import naming

PODS, MASQUERADED, EXCEPTED = "network_pods", "network_masqueraded", "network_excepted"
"""Names of sets of prefixes, which end in the family's number; and of sets of addresses:"""
DIRECT, PEERS, TUNNEL_ADDRESSES = "network_direct", "network_peers", "network_tunnel"

SIZES: Final = {IPV4: 4, IPV6: 16}

_BEFORE_TRACKING: Final = -300
_FILTER: Final = 0
_SOURCE_NAT: Final = 100
CHAINS: Final = (
    Chain("network_prerouting", nftables.PREROUTING, _BEFORE_TRACKING),
    Chain("network_output", nftables.OUTPUT, _BEFORE_TRACKING),
    Chain("network_input", nftables.INPUT, _FILTER),
    Chain("network_postrouting", nftables.POSTROUTING, _SOURCE_NAT, "nat"),
)
_FAMILY_BYTES: Final = {IPV4: b"\x02", IPV6: b"\x0a"}
_SOURCE_AT: Final = {IPV4: 12, IPV6: 8}
_MULTICAST: Final = {IPV4: (b"\xf0", b"\xe0"), IPV6: (b"\xff", b"\xff")}
_LINK_LOCAL: Final = (b"\xff\xc0", b"\xfe\x80")
_UDP: Final = b"\x11"
_DESTINATION_PORT_AT: Final = 2
_MARK_OF_KUBE_PROXY: Final = (0x4000).to_bytes(4, "little")
_LOCAL: Final = route.LOCAL.to_bytes(4, "little")
_NO_LINK: Final = bytes(4)
_PORTS: Final = (1024, 32767, 32768, 65535)

_RETURN: Final = expression.verdict(expression.RETURN)
_DROP: Final = expression.verdict(expression.DROP)

Rules = dict[str, list[list[bytes]]]
"""The rules of each chain, in order, each as its expressions."""


def rules_of(wanted: Filters) -> Rules:
    """The rules of all chains."""
    rules: Rules = {chain.name: [] for chain in CHAINS}
    if wanted.check_sources:
        rules["network_prerouting"] += _rules_against_false_sources()
    rules["network_prerouting"].append([*_of_tunnel(wanted), *_peer(wanted, 0), expression.untracked()])
    rules["network_output"].append([*_of_tunnel(wanted), *_peer(wanted, 1), expression.untracked()])
    rules["network_input"].append([*_of_tunnel(wanted), *_peer(wanted, 0, inverted=True), _DROP])
    rules["network_postrouting"] += _rules_of_masquerade(wanted)
    return rules


def _rules_against_false_sources() -> list[list[bytes]]:
    """Of host sides: drop what has a source to which no route leads back by the same host side."""
    rules = []
    for group in (naming.PLAIN, naming.MASQUERADED):
        for family in (IPV4, IPV6):
            of_group = [
                expression.meta(expression.META_IN_GROUP),
                expression.compare(expression.EQUAL, group.to_bytes(4, "little")),
                *_of_family(family),
            ]
            if family == IPV6:  # neighbours are asked from link-local addresses, and from none at first
                mask, link_local = _LINK_LOCAL
                of_group += [
                    expression.payload(expression.NETWORK_HEADER, _SOURCE_AT[IPV6], 2),
                    expression.masked(mask),
                    expression.compare(expression.NOT_EQUAL, link_local),
                    expression.payload(expression.NETWORK_HEADER, _SOURCE_AT[IPV6], SIZES[IPV6]),
                    expression.compare(expression.NOT_EQUAL, bytes(16)),
                ]
            no_way_back = [
                expression.route_link(expression.FIB_SOURCE | expression.FIB_IN),
                expression.compare(expression.EQUAL, _NO_LINK),
            ]
            rules.append([*of_group, *no_way_back, _DROP])
    return rules


def _rules_of_masquerade(wanted: Filters) -> list[list[bytes]]:
    masquerade = _masquerade(wanted.port)
    out = TUNNEL.encode().ljust(16, b"\0")
    rules = [
        [
            expression.meta(expression.META_MARK),
            expression.masked(_MARK_OF_KUBE_PROXY),
            expression.compare(expression.EQUAL, _MARK_OF_KUBE_PROXY),
            _RETURN,
        ]
    ]
    for family in (IPV4, IPV6):
        by_tunnel = [
            expression.meta(expression.META_OUT_NAME),
            expression.compare(expression.EQUAL, out),
            expression.route_kind(expression.FIB_SOURCE),
            expression.compare(expression.EQUAL, _LOCAL),
        ]
        of_node = [*_in_set(family, TUNNEL_ADDRESSES, 0, inverted=True), *by_tunnel]
        rules.append([*of_node, *masquerade])
        rules.append([*_in_set(family, MASQUERADED, 0, inverted=True), _RETURN])
        rules.append([*_of_family(family), *_to_multicast(family), _RETURN])
        rules += [[*_in_set(family, name, 1), _RETURN] for name in (PODS, EXCEPTED, DIRECT)]
    rules.append(masquerade)
    return rules


def _masquerade(port_of_tunnel: int) -> list[bytes]:
    low, high = _PORTS[2:] if port_of_tunnel < _PORTS[2] else _PORTS[:2]
    lowest, highest = expression.word(0), expression.word(1)
    return [
        expression.immediate(low.to_bytes(2, "big"), lowest),
        expression.immediate(high.to_bytes(2, "big"), highest),
        expression.masquerade(expression.FULLY_RANDOM, lowest, highest),
    ]


def _of_family(family: int) -> list[bytes]:
    return [
        expression.meta(expression.META_FAMILY),
        expression.compare(expression.EQUAL, _FAMILY_BYTES[family]),
    ]


def _in_set(family: int, name: str, end: int, *, inverted: bool = False) -> list[bytes]:
    """The packet's source (0) or destination (1) is in a set of its family."""
    size = SIZES[family]
    return [
        *_of_family(family),
        expression.payload(expression.NETWORK_HEADER, _SOURCE_AT[family] + end * size, size),
        expression.lookup(f"{name}{family}", inverted=inverted),
    ]


def _to_multicast(family: int) -> list[bytes]:
    mask, multicast = _MULTICAST[family]
    return [
        expression.payload(expression.NETWORK_HEADER, _SOURCE_AT[family] + SIZES[family], 1),
        expression.masked(mask),
        expression.compare(expression.EQUAL, multicast),
    ]


def _of_tunnel(wanted: Filters) -> list[bytes]:
    return [
        expression.meta(expression.META_PROTOCOL),
        expression.compare(expression.EQUAL, _UDP),
        expression.payload(expression.TRANSPORT_HEADER, _DESTINATION_PORT_AT, 2),
        expression.compare(expression.EQUAL, wanted.port.to_bytes(2, "big")),
    ]


def _peer(wanted: Filters, end: int, *, inverted: bool = False) -> list[bytes]:
    return _in_set(wanted.own.version, PEERS, end, inverted=inverted)
