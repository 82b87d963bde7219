"""Families of addresses, by the kernel's numbers (linux/socket.h)."""

from __future__ import annotations

UNSPECIFIED, IPV4, BRIDGE, IPV6 = 0, 2, 7, 10


def of(address: bytes) -> int:
    """Give the family of an address by its length."""
    return IPV4 if len(address) == 4 else IPV6
