"""IP packets as bytes, with whatever source they shall have, and the checksums of their protocols. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from node_agent.pod_network.network import IPV4, Address

_IPV4_HEADER, _IPV6_HEADER = 20, 40
ECHO = {4: (1, 8, 0), 6: (58, 128, 129)}
"""By family: the protocol of ICMP, and the types of an echo request and of its answer."""


def encode(source: Address, destination: Address, protocol: int, payload: bytes, hops: int) -> bytes:
    """A packet, from its IP header on."""
    ends = source.packed + destination.packed
    if source.version == IPV4:
        size = (_IPV4_HEADER + len(payload)).to_bytes(2, "big")
        head = b"\x45\x00" + size + bytes(4) + bytes([hops, protocol, 0, 0]) + ends
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload
    return b"\x60\x00\x00\x00" + len(payload).to_bytes(2, "big") + bytes([protocol, hops]) + ends + payload


def pseudo_header(source: Address, destination: Address, protocol: int, size: int) -> bytes:
    """What the checksum of a payload of so many bytes counts of the header."""
    return source.packed + destination.packed + size.to_bytes(4, "big") + protocol.to_bytes(4, "big")


def checksum(data: bytes) -> int:
    """The sum of the internet's protocols (RFC 1071)."""
    total = sum(_words(data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _words(data: bytes) -> Iterator[int]:
    for at in range(0, len(data), 2):
        yield int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")


def echo_request(source: Address, destination: Address, mark: bytes, hops: int) -> bytes:
    """A whole echo request that its answer repeats the two bytes of `mark` of."""
    protocol, kind, _ = ECHO[source.version]
    payload = bytes([kind, 0, 0, 0]) + mark + bytes(2)
    counted = payload
    if source.version != IPV4:
        counted = pseudo_header(source, destination, protocol, len(payload)) + payload
    payload = payload[:2] + checksum(counted).to_bytes(2, "big") + payload[4:]
    return encode(source, destination, protocol, payload, hops)


def echo_answer(packet: bytes) -> tuple[bytes, bytes] | None:
    """The source and the mark of an answer to an echo request; None if the packet is none."""
    version = packet[:1]
    if version[:1] and version[0] >> 4 == IPV4:
        size = 4 * (packet[0] & 0x0F)
        protocol, source, family = packet[9:10], packet[12:16], 4
    else:
        size = _IPV6_HEADER
        protocol, source, family = packet[6:7], packet[8:24], 6
    expected, _, kind = ECHO[family]
    if protocol != bytes([expected]) or packet[size : size + 1] != bytes([kind]) or len(packet) < size + 6:
        return None
    return source, packet[size + 4 : size + 6]
