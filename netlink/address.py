"""Addresses of links (linux/if_addr.h)."""

from __future__ import annotations

from netlink import attribute, family, message
from netlink.message import Message, Request

NEW, DELETE, GET = 20, 21, 22

NO_DETECTION, DETECTION_FAILED, TENTATIVE, PERMANENT, NO_PREFIX_ROUTE = 0x02, 0x08, 0x40, 0x80, 0x200
"""Flags: used without looking for a duplicate; a duplicate was found; not looked for yet; …"""

SCOPE_GLOBAL, SCOPE_LINK, SCOPE_HOST = 0, 253, 254

_HEADER = 8
_ADDRESS, _LOCAL, _BROADCAST, _FLAGS = 1, 2, 4, 8


class Address:
    """An address with the length of its prefix on the link with an index."""

    def __init__(
        self,
        index: int,
        address: bytes,
        length: int,
        flags: int = 0,
        scope: int = SCOPE_GLOBAL,
        broadcast: bytes | None = None,
    ) -> None:
        self.index = index
        self.address = address
        self.length = length
        self.flags = flags
        self.scope = scope
        self.broadcast = broadcast


def add(address: Address) -> Request:
    """Add an address; refused if it is there."""
    return Request(NEW, message.CREATE | message.EXCLUSIVE, _encode(address))


def put(address: Address) -> Request:
    """Add an address, or give the one that is there these flags."""
    return Request(NEW, message.CREATE | message.REPLACE, _encode(address))


def delete(address: Address) -> Request:
    """Remove an address; refused if it is not there."""
    return Request(DELETE, 0, _encode(address))


def get_all(index: int, of: int = family.UNSPECIFIED) -> Request:
    """Ask for the list of a link's addresses, of one family or all."""
    return Request(GET, 0, (of | index << 32).to_bytes(_HEADER, "little"))


def decode(told: Message) -> Address:
    """Read an address; Malformed."""
    body = told.body
    if len(body) < _HEADER:
        raise attribute.Malformed(f"an address of {len(body)} bytes")
    given = attribute.read(body, _HEADER)
    # Of IPv4 LOCAL is the link's own and ADDRESS may be a peer's; of IPv6 there may be no LOCAL.
    own = given.get(_LOCAL) or given.get(_ADDRESS) or b""
    flags = attribute.number(given.get(_FLAGS))
    index = int.from_bytes(body[4:8], "little")
    return Address(index, own, body[1], body[2] if flags is None else flags, body[3], given.get(_BROADCAST))


def _encode(address: Address) -> bytes:
    head = family.of(address.address) | address.length << 8 | address.scope << 24 | address.index << 32
    parts = [
        head.to_bytes(_HEADER, "little"),
        attribute.raw(_LOCAL, address.address),
        attribute.raw(_ADDRESS, address.address),
    ]
    if address.broadcast is not None:
        parts.append(attribute.raw(_BROADCAST, address.broadcast))
    if address.flags:
        parts.append(attribute.u32(_FLAGS, address.flags))
    return b"".join(parts)
