"""Addresses that no host may have, whatever an admin states."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Final

from ipamd.models.address import AddressRange, IPNetwork

_NOBODYS: Final[tuple[tuple[IPNetwork, str], ...]] = (
    (IPv4Network("0.0.0.0/32"), "the unspecified address"),
    (IPv4Network("0.0.0.0/8"), "this network (RFC 1122, 3.2.1.3)"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("255.255.255.255/32"), "the broadcast address"),
    (IPv4Network("240.0.0.0/4"), "reserved (RFC 1112, 4)"),
    (IPv6Network("::/128"), "the unspecified address"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("::/96"), "IPv4-compatible (RFC 4291, 2.5.5.1)"),
    (IPv6Network("::ffff:0:0/96"), "IPv4-mapped"),
    (IPv6Network("ff00::/8"), "multicast"),
)
"""What stands alone comes before what it lies in."""

_KEPT: Final = [(AddressRange(net[0], net[-1]), net, what) for net, what in _NOBODYS]


def why_no_host(addresses: AddressRange) -> str | None:
    """Say why no host may have one of these addresses, as a sentence; None if each may be had."""
    touched = [entry for entry in _KEPT if entry[0].overlaps(addresses)]
    for whole, network, what in touched:
        if whole.contains(addresses.first) and whole.contains(addresses.last):
            if whole.size == 1:
                return f"{addresses} is {what}, which no host may have"
            return f"{addresses} lies in {network}, {what}: no host may have such an address"
    if not touched:
        return None
    _, network, what = max(touched, key=lambda entry: entry[0].size)
    return f"{addresses} holds {network}, {what}: no host may have such an address"
