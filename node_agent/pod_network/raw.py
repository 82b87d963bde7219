"""Sockets for whole IP packets, with whatever source is written in them, to an address of no device.

What comes is taken by a packet socket, ahead of the kernel's rp_filter and routes.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

from node_agent.pod_network.network import IPV4, Address

_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_SO_ATTACH_FILTER: Final = 26
_IPV6_HDRINCL: Final = 36
_WORD, _HALF, _BYTE, _EQUAL, _GIVE = 0x20, 0x28, 0x30, 0x15, 0x06


class HalfWord(NamedTuple):
    """Two bytes that a packet must have at an offset behind its IP header."""

    offset: int
    value: int


def sender(version: int) -> socket.socket:
    """A socket that sends packets as they are, by the route to the address it is told. Raises OSError."""
    is_ipv4 = version == IPV4
    family = socket.AF_INET if is_ipv4 else socket.AF_INET6
    sending = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sending.setblocking(False)
    if not is_ipv4:
        sending.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
    return sending


def receiver(
    destination: Address, protocol: int, link: str | None, largest: int, *more: HalfWord
) -> socket.socket:
    """A socket that takes the packets of a protocol for an address that come by a link. Raises OSError.

    Their IP headers have no options. If no link is named, it takes those of all links, and may have some
    other packets that came first.
    """
    kind = _ETH_P_IP if destination.version == IPV4 else _ETH_P_IPV6
    receiving = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0 if link else socket.htons(kind))
    receiving.setblocking(False)
    _attach(receiving, _program(destination, protocol, largest, more))
    if link:
        receiving.bind((link, kind))
    return receiving


def _program(
    destination: Address, protocol: int, largest: int, more: Sequence[HalfWord]
) -> list[tuple[int, int, int, int]]:
    """What the kernel runs on each packet: pass those of the protocol for the address, as `more` says."""
    packed = destination.packed
    at, protocol_at, size = (16, 9, 20) if destination.version == IPV4 else (24, 6, 40)
    words = [int.from_bytes(packed[start : start + 4], "big") for start in range(0, len(packed), 4)]
    tests = [(_WORD, at + 4 * number, word) for number, word in enumerate(words)]
    tests.append((_BYTE, protocol_at, protocol))
    tests += [(_HALF, size + each.offset, each.value) for each in more]
    program: list[tuple[int, int, int, int]] = []
    for number, (load, offset, value) in enumerate(tests):
        to_end = 2 * (len(tests) - number) - 1
        program += [(load, 0, 0, offset), (_EQUAL, 0, to_end, value)]
    return [*program, (_GIVE, 0, 0, largest), (_GIVE, 0, 0, 0)]


def _attach(receiving: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    # struct sock_filter { u16 code; u8 jt, jf; u32 k; }, struct sock_fprog { u16 len; struct sock_filter *; }
    code = b"".join(
        op.to_bytes(2, "little") + bytes([yes, no]) + k.to_bytes(4, "little") for op, yes, no, k in program
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    described = len(program).to_bytes(8, "little") + ctypes.addressof(buffer).to_bytes(8, "little")
    receiving.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
