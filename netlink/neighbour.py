"""Neighbours: which MAC has an address of a link, and where a tunnel sends a MAC (linux/neighbour.h)."""

from __future__ import annotations

from netlink import attribute, family, message
from netlink.message import Message, Request

NEW, DELETE, GET = 28, 29, 30

REACHABLE, STALE, NO_ARP, PERMANENT = 0x02, 0x04, 0x40, 0x80
"""States."""
SELF = 0x02
"""The flag of an entry that belongs to the device itself and not to its bridge."""
_USE = 0x01

_HEADER = 12
_DESTINATION, _MAC, _LINK = 1, 2, 8


class Neighbour:
    """The MAC of a neighbour.

    `of` is the family: of the address, or BRIDGE for where a device sends what is for a MAC.
    """

    __slots__ = ("address", "flags", "index", "mac", "of", "state")

    def __init__(
        self,
        index: int,
        address: bytes | None,
        mac: bytes | None,
        state: int = PERMANENT,
        of: int = family.UNSPECIFIED,
        flags: int = 0,
    ) -> None:
        self.index = index
        self.address = address
        self.mac = mac
        self.state = state
        self.of = family.of(address) if of == family.UNSPECIFIED and address is not None else of
        self.flags = flags


def put(neighbour: Neighbour) -> Request:
    """Write an entry over whatever is there for its address, or of BRIDGE for its MAC."""
    return Request(NEW, message.CREATE | message.REPLACE, _encode(neighbour))


def delete(neighbour: Neighbour) -> Request:
    """Remove an entry; refused if it is not there."""
    return Request(DELETE, 0, _encode(neighbour))


def resolve(index: int, address: bytes) -> Request:
    """Ask the link for an address's MAC as the kernel does before it sends; nothing if it is known."""
    return Request(NEW, message.CREATE, _encode(Neighbour(index, address, None, 0, flags=_USE)))


def get(index: int, address: bytes) -> Request:
    """Ask for a link's entry for an address."""
    return Request(GET, 0, _encode(Neighbour(index, address, None, 0)))


def get_all(index: int, of: int = family.UNSPECIFIED) -> Request:
    """Ask for the list of a link's entries, of one family or all."""
    # The kernel wants the link as an attribute, or as a header's number if the family is BRIDGE.
    if of == family.BRIDGE:
        return Request(GET, 0, (of | index << 32).to_bytes(_HEADER, "little"))
    return Request(GET, 0, of.to_bytes(_HEADER, "little") + attribute.u32(_LINK, index))


def decode(told: Message) -> Neighbour:
    """Read an entry; Malformed."""
    body = told.body
    if len(body) < _HEADER:
        raise attribute.Malformed(f"a neighbour of {len(body)} bytes")
    given = attribute.read(body, _HEADER)
    return Neighbour(
        int.from_bytes(body[4:8], "little"),
        given.get(_DESTINATION),
        given.get(_MAC),
        int.from_bytes(body[8:10], "little"),
        body[0],
        body[10],
    )


def _encode(neighbour: Neighbour) -> bytes:
    head = neighbour.of | neighbour.index << 32 | neighbour.state << 64 | neighbour.flags << 80
    parts = [head.to_bytes(_HEADER, "little")]
    if neighbour.address is not None:
        parts.append(attribute.raw(_DESTINATION, neighbour.address))
    if neighbour.mac is not None:
        parts.append(attribute.raw(_MAC, neighbour.mac))
    return b"".join(parts)
