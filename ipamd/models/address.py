"""Read addresses, prefixes and ranges as people write them, strictly."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import inet_ntoa
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

MAX_LENGTH: Final = {4: 32, 6: 128}
"""The length of a prefix that is one address, by family."""

LONGEST_TEXT: Final = 64
"""Characters of the longest address. A prefix or a range has at most twice as many."""


def parse_address(text: str) -> IPAddress:
    """Read one address; raises ValueError with a sentence.

    Leading zeros, zone identifiers and IPv4-mapped IPv6 addresses are refused. With them one address could be
    written in two ways, or a text could mean another address than it says.
    """
    if len(text) > LONGEST_TEXT or not text.isascii():
        raise ValueError(f"{text[:LONGEST_TEXT]!r} is not an IPv4 or IPv6 address")
    if "%" in text:
        raise ValueError(f"{text!r} has a zone identifier: leave out the part from %")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4-mapped IPv6 address: write {address.ipv4_mapped}")
    return address


def parse_network(text: str) -> IPNetwork:
    """Read one prefix, whose host bits must be zero; raises ValueError with a sentence."""
    address_text, slash, length_text = text[: 2 * LONGEST_TEXT].partition("/")
    if not slash or not (length_text.isascii() and length_text.isdigit() and len(length_text) <= 3):
        raise ValueError(f"{text[:LONGEST_TEXT]!r} is not a prefix such as 10.0.0.0/16 or fd00::/64")
    if len(length_text) > 1 and length_text.startswith("0"):
        raise ValueError(f"{text!r} has leading zeros in its prefix length: remove them")
    address = parse_address(address_text)
    if int(length_text) > address.max_prefixlen:
        raise ValueError(f"{text!r} has a prefix length over {address.max_prefixlen}")
    try:
        return ipaddress.ip_network((address, int(length_text)))
    except ValueError:
        network = ipaddress.ip_network((address, int(length_text)), strict=False)
        raise ValueError(f"{text!r} has host bits set: write {network}") from None


def text_of(address: IPAddress) -> str:
    """An address as it is written. The C library writes an IPv4 address in a third of Python's time."""
    return inet_ntoa(address.packed) if address.version == 4 else str(address)


def address_in(family: int, value: int) -> IPAddress:
    """The address of a family (4 or 6) with this numeric value."""
    return IPv4Address(value) if family == 4 else IPv6Address(value)


def prefix_size(family: int, length: int) -> int:
    """How many addresses a prefix of this length has."""
    return 1 << (MAX_LENGTH[family] - length)


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses from `first` to `last`, both included, of one family."""

    first: IPAddress
    last: IPAddress

    @classmethod
    def parse(cls, text: str) -> AddressRange:
        """Read `ADDRESS`, `PREFIX` or `FIRST-LAST`; raises ValueError with a sentence."""
        if "/" in text:
            network = parse_network(text)
            return cls(network[0], network[-1])
        first_text, dash, last_text = text.partition("-")
        first = parse_address(first_text)
        last = parse_address(last_text) if dash else first
        if first.version != last.version or int(first) > int(last):
            raise ValueError(f"{text!r} is not a range: write FIRST-LAST with the lower address first")
        return cls(first, last)

    @classmethod
    def of_prefix(cls, first: IPAddress, length: int) -> AddressRange:
        """The addresses of a prefix that begins with an aligned address."""
        return cls(first, address_in(first.version, int(first) + prefix_size(first.version, length) - 1))

    @property
    def family(self) -> int:
        return self.first.version

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    @property
    def values(self) -> range:
        """The numeric values of its addresses."""
        return range(int(self.first), int(self.last) + 1)

    def overlaps(self, other: AddressRange) -> bool:
        return (
            self.family == other.family
            and int(self.first) <= int(other.last)
            and int(other.first) <= int(self.last)
        )

    def contains(self, address: IPAddress) -> bool:
        return address.version == self.family and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        networks = list(ipaddress.summarize_address_range(self.first, self.last))
        return str(networks[0]) if len(networks) == 1 else f"{self.first}-{self.last}"
