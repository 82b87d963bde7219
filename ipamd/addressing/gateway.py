"""The addresses that a subnet keeps for itself."""

from __future__ import annotations

from ipamd.models.address import IPAddress, IPNetwork


def default_gateway(subnet: IPNetwork) -> IPAddress | None:
    """The first usable address; None if a subnet has no room for one (/31, /32, /127, /128)."""
    return subnet[1] if subnet.max_prefixlen - subnet.prefixlen >= 2 else None


def set_apart(subnet: IPNetwork) -> list[tuple[int, str]]:
    """The addresses that no holder may have, by value, each with the name that a refusal gives it.

    IPv4 shorter than /31: network and broadcast (RFC 3021 frees them in a /31). IPv6 shorter than /127:
    the subnet-router anycast address (RFC 4291, 2.6.1; RFC 6164 for /127).
    """
    if subnet.max_prefixlen - subnet.prefixlen < 2:
        return []
    first, last = int(subnet[0]), int(subnet[-1])
    if subnet.version == 4:
        return [(first, "the network address"), (last, "the broadcast address")]
    return [(first, "the subnet-router address")]
