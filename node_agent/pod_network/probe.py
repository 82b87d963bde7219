"""Probes: a packet between two nodes' addresses among pods, sent to the other node without a tunnel. Pure.

What is true of one end must be true of the other, or a node with a strict rp_filter drops what the other
sends. So each packet says whether its sender's own probe was answered (`ready`), and a pair goes directly
while both were.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from node_agent.pod_network import packet as ip
from node_agent.pod_network.network import Address

MISSES = 3
"""So many probes in a row go unanswered before a pair goes by the tunnel again."""
_MAGIC = b"ipamd probe 1 "
_NONCE_BYTES = 8
_UDP = 17
_HOPS = 1  # no router passes it on
_UDP_HEADER = 8


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe, or the answer to one, which repeats its nonce."""

    source: Address
    destination: Address
    nonce: bytes
    is_answer: bool
    ready: bool


def encode(probe: Probe, port: int) -> bytes:
    """The packet, from its IP header on."""
    payload = _MAGIC + bytes([probe.is_answer, probe.ready]) + probe.nonce
    size = _UDP_HEADER + len(payload)
    ports = port.to_bytes(2, "big") * 2
    pseudo = ip.pseudo_header(probe.source, probe.destination, _UDP, size)
    checksum = ip.checksum(pseudo + ports + size.to_bytes(2, "big") + bytes(2) + payload) or 0xFFFF
    udp = ports + size.to_bytes(2, "big") + checksum.to_bytes(2, "big") + payload
    return ip.encode(probe.source, probe.destination, _UDP, udp, _HOPS)


def decode(packet: bytes, port: int) -> Probe | None:
    """The probe in a packet that came; None if it is none."""
    source: Address
    destination: Address
    if packet[:1] == b"\x45" and packet[9:10] == bytes([_UDP]) and len(packet) >= 20:
        source, destination, udp = IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), packet[20:]
    elif packet[:1] == b"\x60" and packet[6:7] == bytes([_UDP]) and len(packet) >= 40:
        source, destination, udp = IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), packet[40:]
    else:
        return None
    payload = udp[_UDP_HEADER:]
    flags = len(_MAGIC)
    if udp[2:4] != port.to_bytes(2, "big") or not payload.startswith(_MAGIC):
        return None
    nonce = payload[flags + 2 : flags + 2 + _NONCE_BYTES]
    if len(nonce) != _NONCE_BYTES:
        return None
    return Probe(source, destination, nonce, payload[flags] == 1, payload[flags + 1] == 1)


@dataclass(slots=True)
class _Pair:
    nonce: bytes | None = None
    misses: int = 0
    own: bool = False
    """The own probe was answered."""
    other: bool = False
    """The peer says the same of its own."""


class Pairs:
    """What is known of each peer that may be reached directly. `believed` are those that were before."""

    def __init__(self) -> None:
        self._pairs: dict[str, _Pair] = {}

    def keep(self, names: Collection[str], believed: Collection[str] = ()) -> None:
        """Keep these peers and forget all others; who is new begins as `believed` says."""
        for name in [one for one in self._pairs if one not in names]:
            del self._pairs[name]
        for name in names:
            if name not in self._pairs:
                is_believed = name in believed
                self._pairs[name] = _Pair(own=is_believed, other=is_believed)

    def names(self) -> list[str]:
        return list(self._pairs)

    def direct(self) -> set[str]:
        """The peers with which both ends' probes were answered."""
        return {name for name, pair in self._pairs.items() if pair.own and pair.other}

    def undecided(self) -> set[str]:
        """The peers of which nobody knows yet whether they are reached directly."""
        return {
            name
            for name, pair in self._pairs.items()
            if pair.misses < MISSES and not (pair.own and pair.other)
        }

    def is_ready(self, name: str) -> bool:
        """Whether the own probe was answered, which each packet to the peer says."""
        return self._pairs[name].own

    def is_settled(self, name: str) -> bool:
        """Whether the last probe was answered, so that the next has time."""
        pair = self._pairs[name]
        return pair.nonce is None and pair.own and pair.other

    def is_given_up(self, name: str) -> bool:
        """Whether so many probes were not answered that the next has time."""
        return self._pairs[name].misses >= MISSES

    def send(self, name: str, nonce: bytes) -> None:
        """Note a probe that goes out; one before it that was not answered is missed."""
        pair = self._pairs[name]
        if pair.nonce is not None:
            pair.misses += 1
            if pair.misses >= MISSES:
                pair.own = False
        pair.nonce = nonce

    def hear(self, name: str, probe: Probe) -> None:
        """Note what came from a peer; an answer counts if it is to the last probe."""
        pair = self._pairs.get(name)
        if pair is None:
            return
        if probe.is_answer:
            if probe.nonce != pair.nonce:
                return
            pair.nonce, pair.misses, pair.own = None, 0, True
        pair.other = probe.ready
