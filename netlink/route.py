"""Routes (linux/rtnetlink.h)."""

from __future__ import annotations

from netlink import attribute, family, message
from netlink.message import Message, Request

NEW, DELETE, GET = 24, 25, 26

UNICAST, LOCAL, BLACKHOLE, UNREACHABLE = 1, 2, 6, 7
"""What a route does with a packet."""
SCOPE_GLOBAL, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
MAIN_TABLE = 254
BOOT, STATIC = 3, 4
"""Who made a route: `ip route`, and what came while booting, say BOOT; an administrator says STATIC."""
ON_LINK = 4
"""The flag of a route whose gateway need not be in a prefix of the link."""

_HEADER = 12
_DESTINATION, _OUT, _GATEWAY, _PRIORITY, _SOURCE, _METRICS, _TABLE = 1, 4, 5, 6, 7, 8, 15
_MTU, _ADVMSS = 2, 8
_LARGEST_SHORT_TABLE = 255


class Route:
    """A route to a prefix: by a link, a gateway or both. None and 0 are what the kernel makes of them.

    `source` is the address that the node itself takes towards the prefix.
    """

    __slots__ = (
        "advmss",
        "destination",
        "flags",
        "gateway",
        "index",
        "kind",
        "length",
        "mtu",
        "priority",
        "protocol",
        "scope",
        "source",
        "table",
    )

    def __init__(
        self,
        destination: bytes,
        length: int,
        index: int | None = None,
        gateway: bytes | None = None,
        scope: int = SCOPE_GLOBAL,
        source: bytes | None = None,
        table: int = MAIN_TABLE,
        priority: int | None = None,
        mtu: int | None = None,
        advmss: int | None = None,
        flags: int = 0,
        protocol: int = BOOT,
        kind: int = UNICAST,
    ) -> None:
        self.destination = destination
        self.length = length
        self.index = index
        self.gateway = gateway
        self.scope = scope
        self.source = source
        self.table = table
        self.priority = priority
        self.mtu = mtu
        self.advmss = advmss
        self.flags = flags
        self.protocol = protocol
        self.kind = kind


def add(route: Route) -> Request:
    """Add a route; refused if there is one to the prefix with its priority in its table."""
    return Request(NEW, message.CREATE | message.EXCLUSIVE, _encode(route))


def append(route: Route) -> Request:
    """Add a route beside others to the prefix by other links; refused if this one is there."""
    return Request(NEW, message.CREATE | message.APPEND, _encode(route))


def put(route: Route) -> Request:
    """Add a route in place of one to the prefix with its priority in its table."""
    return Request(NEW, message.CREATE | message.REPLACE, _encode(route))


def delete(route: Route) -> Request:
    """Remove the route that has all that is given; refused if there is none."""
    return Request(DELETE, 0, _encode(route))


def find(address: bytes) -> Request:
    """Ask by which route the node itself would send to an address."""
    head = family.of(address) | 8 * len(address) << 8
    return Request(GET, 0, head.to_bytes(_HEADER, "little") + attribute.raw(_DESTINATION, address))


def get_all(of: int, index: int | None = None, table: int = MAIN_TABLE, protocol: int = 0) -> Request:
    """Ask for the list of a family's routes in a table, of one link or all, of one who made them or all."""
    head = of | protocol << 40
    parts = [head.to_bytes(_HEADER, "little"), attribute.u32(_TABLE, table)]
    if index is not None:
        parts.append(attribute.u32(_OUT, index))
    return Request(GET, 0, b"".join(parts))


def decode(told: Message) -> Route:
    """Read a route; Malformed."""
    body = told.body
    if len(body) < _HEADER:
        raise attribute.Malformed(f"a route of {len(body)} bytes")
    given = attribute.read(body, _HEADER)
    metrics = attribute.read(given.get(_METRICS, b""))
    table = attribute.number(given.get(_TABLE))
    return Route(
        given.get(_DESTINATION) or bytes(4 if body[0] == family.IPV4 else 16),
        body[1],
        attribute.number(given.get(_OUT)),
        given.get(_GATEWAY),
        body[6],
        given.get(_SOURCE),
        body[4] if table is None else table,
        attribute.number(given.get(_PRIORITY)),
        attribute.number(metrics.get(_MTU)),
        attribute.number(metrics.get(_ADVMSS)),
        int.from_bytes(body[8:12], "little"),
        body[5],
        body[7],
    )


def _encode(route: Route) -> bytes:
    short_table = route.table if route.table <= _LARGEST_SHORT_TABLE else 0
    head = (
        family.of(route.destination)
        | route.length << 8
        | short_table << 32
        | route.protocol << 40
        | route.scope << 48
        | route.kind << 56
        | route.flags << 64
    )
    parts = [head.to_bytes(_HEADER, "little"), attribute.u32(_TABLE, route.table)]
    if route.length:
        parts.append(attribute.raw(_DESTINATION, route.destination))
    for kind, address in ((_GATEWAY, route.gateway), (_SOURCE, route.source)):
        if address is not None:
            parts.append(attribute.raw(kind, address))
    for kind, number in ((_OUT, route.index), (_PRIORITY, route.priority)):
        if number is not None:
            parts.append(attribute.u32(kind, number))
    metrics = [
        attribute.u32(kind, number)
        for kind, number in ((_MTU, route.mtu), (_ADVMSS, route.advmss))
        if number is not None
    ]
    if metrics:
        parts.append(attribute.nested(_METRICS, metrics))
    return b"".join(parts)
