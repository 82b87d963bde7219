"""Addresses and prefixes: their texts, and the bytes that the kernel takes."""

from __future__ import annotations

from cni_plugin import platform

IPV4, IPV6 = 4, 6
_FAMILY_NUMBERS = {IPV4: 2, IPV6: 10}
_BYTES = {IPV4: 4, IPV6: 16}
_DIGITS = "0123456789"


def family(address: bytes) -> int:
    """Give 4 or 6."""
    return IPV4 if len(address) == _BYTES[IPV4] else IPV6


def bits(address: bytes) -> int:
    """Give the length of the address's family in bits."""
    return 8 * len(address)


def parse(text: str) -> bytes:
    """Read an address; ValueError if the text is none."""
    number = _FAMILY_NUMBERS[IPV6 if ":" in text else IPV4]
    try:
        return platform.inet_bytes(number, text)
    except (OSError, ValueError) as error:
        raise ValueError("is not an address") from error


def parse_prefix(text: str) -> tuple[bytes, int]:
    """Read ADDRESS/LENGTH, whose address may have bits beyond the length; ValueError if it is none."""
    first, slash, length = text.partition("/")
    address = parse(first)
    if not slash or not 0 < len(length) <= 3 or any(c not in _DIGITS for c in length):
        raise ValueError("has no prefix length")
    if int(length) > bits(address):
        raise ValueError("has a prefix length beyond its family's")
    return address, int(length)


def text(address: bytes) -> str:
    """Write an address."""
    return platform.inet_text(_FAMILY_NUMBERS[family(address)], address)


def prefix_text(address: bytes, length: int) -> str:
    """Write ADDRESS/LENGTH."""
    return f"{text(address)}/{length}"


def network(address: bytes, length: int) -> bytes:
    """Give the first address of the prefix in which an address lies."""
    unused = bits(address) - length
    return (int.from_bytes(address, "big") >> unused << unused).to_bytes(len(address), "big")


def following(address: bytes) -> bytes:
    """Give the next address."""
    return (int.from_bytes(address, "big") + 1).to_bytes(len(address), "big")


def is_link_local(address: bytes) -> bool:
    """Tell whether an address holds on one link only: 169.254.0.0/16, fe80::/10."""
    if family(address) == IPV4:
        return address[:2] == b"\xa9\xfe"
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80
