"""ICMP echo requests with the flag "don't fragment". The kernel answers them, so no agent need run there.

They pass over what the kernel has learned of smaller MTUs.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import struct
import time
from collections.abc import Mapping
from typing import Final

from node_agent.pod_network.network import IPV4, Address
from node_agent.pod_network.packet import ECHO, checksum

_TRIES: Final = 3
_SECONDS: Final = 1.0
_BYTES_AT_ONCE: Final = 1 << 18
"""So many leave together, or a queue on the way drops some."""
_LARGEST: Final = 1 << 16
_HEADERS: Final = {4: 28, 6: 48}
"""Of IP and ICMP."""
_ICMP_HEADER: Final = 8
_SOL_RAW: Final = 255
_ICMP_FILTER, _ICMPV6_FILTER = 1, 1
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_AS_LARGE_AS_THE_LINK: Final = 3  # IP_PMTUDISC_PROBE
_RECEIVED: Final = 4 << 20


def silent(
    own: Address, sizes: Mapping[Address, int], tries: int = _TRIES, seconds: float = _SECONDS
) -> dict[Address, str]:
    """Ask addresses by packets of so many bytes: who does not answer, and why. Raises OSError.

    Each try waits so many seconds for all that are asked at once.
    """
    found: dict[Address, str] = {}
    asked = list(sizes.items())
    at_once = max(1, _BYTES_AT_ONCE // max(sizes.values(), default=1))
    for start in range(0, len(asked), at_once):
        with _open(own) as raw:
            found |= _ask(raw, dict(asked[start : start + at_once]), tries, seconds)
    return found


def _ask(raw: socket.socket, sizes: Mapping[Address, int], tries: int, seconds: float) -> dict[Address, str]:
    mark = secrets.token_bytes(2)
    left = dict.fromkeys(sizes, "no answer")
    for _ in range(tries):
        for address in left:
            try:
                raw.sendto(_request(address.version, sizes[address], mark), (str(address), 0))
            except OSError as error:
                left[address] = os.strerror(error.errno or 0)
        _hear(raw, mark, sizes, left, time.monotonic() + seconds)
        if not left:
            break
    return left


def _hear(
    raw: socket.socket,
    mark: bytes,
    sizes: Mapping[Address, int],
    left: dict[Address, str],
    deadline: float,
) -> None:
    """Strike out who answers until a moment of the monotonic clock."""
    answering = {str(address): address for address in sizes}
    while left and select.select([raw], [], [], max(0.0, deadline - time.monotonic()))[0]:
        packet, (sender, *_) = raw.recvfrom(_LARGEST)
        address = answering.get(sender)
        if address is None:
            continue
        if address.version == IPV4:
            packet = packet[4 * (packet[0] & 0x0F) :]
        whole = sizes[address] - _HEADERS[address.version] + _ICMP_HEADER
        if packet[4:6] == mark and len(packet) == whole:
            left.pop(address, None)


def _request(version: int, size: int, mark: bytes) -> bytes:
    head = struct.pack("!BBH2sH", ECHO[version][1], 0, 0, mark, 0)
    request = head + bytes(size - _HEADERS[version])
    if version != IPV4:  # the kernel writes the sum
        return request
    return request[:2] + struct.pack("!H", checksum(request)) + request[4:]


def _open(own: Address) -> socket.socket:
    answer = ECHO[own.version][2]
    if own.version == IPV4:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        raw.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << answer) & 0xFFFFFFFF))
        raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _AS_LARGE_AS_THE_LINK)
    else:
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        blocked = [0xFFFFFFFF] * 8
        blocked[answer >> 5] &= ~(1 << (answer & 31))
        raw.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *blocked))
        raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _AS_LARGE_AS_THE_LINK)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
    raw.bind((str(own), 0))
    return raw
