"""Tracked connections (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

from netlink import attribute, family
from netlink.message import Message, Request

_SUBSYSTEM = 1 << 8
_GET, _DELETE = 1, 2
_HEADER = 4
_ORIGINAL, _REPLY, _IDENTIFIER, _ZONE, _FILTER = 1, 2, 12, 18, 25
_ADDRESSES = 1
_IPV4_SOURCE, _IPV6_SOURCE = 1, 3
_FILTER_OF = {_ORIGINAL: 1, _REPLY: 2}
_BY_SOURCE = 0x1


def lists(address: bytes) -> list[Request]:
    """Ask for lists in which all connections of an address are; which of a list they are, tells `concerns`.

    Of IPv4 the kernel picks them. Of IPv6 it picks all the others (seen on 6.18), so its list is of all.
    """
    if family.of(address) == family.IPV6:
        return [Request(_SUBSYSTEM | _GET, 0, family.IPV6.to_bytes(_HEADER, "little"))]
    return [_of_source(address, _ORIGINAL), _of_source(address, _REPLY)]


def concerns(told: Message, address: bytes) -> bool:
    """Tell whether an address began a connection or answers it, whatever address was asked; Malformed."""
    source = _IPV4_SOURCE if family.of(address) == family.IPV4 else _IPV6_SOURCE
    given = attribute.read(told.body, _HEADER)
    for direction in (_ORIGINAL, _REPLY):
        addresses = attribute.read(given.get(direction, b"")).get(_ADDRESSES, b"")
        if attribute.read(addresses).get(source) == address:
            return True
    return False


def delete(told: Message) -> Request:
    """Forget a connection of a list, and no later one between the same two; Malformed."""
    parts = []
    for kind, value in attribute.items(told.body, _HEADER):
        if kind == _ORIGINAL:
            parts.append(attribute.nested(kind, [value]))
        elif kind in (_IDENTIFIER, _ZONE):
            parts.append(attribute.raw(kind, value))
    return Request(_SUBSYSTEM | _DELETE, 0, told.body[:_HEADER] + b"".join(parts))


def _of_source(address: bytes, direction: int) -> Request:
    source = attribute.nested(_ADDRESSES, [attribute.raw(_IPV4_SOURCE, address)])
    parts = [
        attribute.nested(direction, [source]),
        attribute.nested(_FILTER, [attribute.u32(_FILTER_OF[direction], _BY_SOURCE)]),
    ]
    return Request(_SUBSYSTEM | _GET, 0, family.IPV4.to_bytes(_HEADER, "little") + b"".join(parts))
