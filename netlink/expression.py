"""Expressions, of which a rule of nftables is made, in order (linux/netfilter/nf_tables.h).

Each loads something into a register, compares what is there, or says what happens to the packet. The first
comparison that fails ends the rule.
"""

from __future__ import annotations

from netlink import attribute

REGISTER = 1
"""The first register of 16 bytes."""
_WORDS = 8  # the same registers by words of 4 bytes begin here
_FIRST_WORD = 0
_FIB_LINK, _FIB_KIND = 1, 3

DROP, ACCEPT, JUMP, GOTO, RETURN = 0, 1, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFFB
"""What happens to a packet."""

META_MARK, META_IN_NAME, META_OUT_NAME, META_FAMILY, META_PROTOCOL, META_IN_GROUP, META_OUT_GROUP = (
    3, 6, 7, 15, 16, 21, 22,
)  # fmt: skip
"""What is known of a packet beside its bytes. The family is one byte, and so is the protocol (UDP, TCP)."""
FIB_SOURCE, FIB_IN = 0x1, 0x8
"""What is looked up in the routes: the packet's source; only among routes by the link it came by."""
LINK_HEADER, NETWORK_HEADER, TRANSPORT_HEADER = 0, 1, 2
EQUAL, NOT_EQUAL = 0, 1
FULLY_RANDOM = 0x10
"""Masquerade from any free port, chosen at random."""


def word(number: int) -> int:
    """Give the register of 4 bytes at a place, for keys that are put together; 0 is the first."""
    return _WORDS + number


def meta(key: int, register: int = REGISTER) -> bytes:
    """Load what is known of the packet."""
    return _expression("meta", [attribute.be32(2, key), attribute.be32(1, register)])


def payload(base: int, offset: int, size: int, register: int = REGISTER) -> bytes:
    """Load bytes of the packet."""
    return _expression(
        "payload",
        [
            attribute.be32(1, register),
            attribute.be32(2, base),
            attribute.be32(3, offset),
            attribute.be32(4, size),
        ],
    )


def masked(mask: bytes, register: int = REGISTER) -> bytes:
    """Keep the bits of a mask only."""
    return _expression(
        "bitwise",
        [
            attribute.be32(1, register),
            attribute.be32(2, register),
            attribute.be32(3, len(mask)),
            attribute.nested(4, [attribute.raw(1, mask)]),
            attribute.nested(5, [attribute.raw(1, bytes(len(mask)))]),
        ],
    )


def compare(how: int, value: bytes, register: int = REGISTER) -> bytes:
    """Go on if the register is EQUAL, or NOT_EQUAL, to a value."""
    value_attribute = attribute.nested(3, [attribute.raw(1, value)])
    return _expression("cmp", [attribute.be32(1, register), attribute.be32(2, how), value_attribute])


def lookup(of: str, register: int = REGISTER, inverted: bool = False) -> bytes:
    """Go on if the register is in a set, or `inverted` if it is not."""
    parts = [attribute.text(1, of), attribute.be32(2, register)]
    if inverted:
        parts.append(attribute.be32(5, 1))
    return _expression("lookup", parts)


def verdict(code: int, chain: str | None = None) -> bytes:
    """Say what happens to the packet; JUMP and GOTO name a chain."""
    parts = [attribute.be32(1, code)]
    if chain is not None:
        parts.append(attribute.text(2, chain))
    data = attribute.nested(2, [attribute.nested(2, parts)])
    return _expression("immediate", [attribute.be32(1, _FIRST_WORD), data])


def immediate(value: bytes, register: int) -> bytes:
    """Load a value that is always the same."""
    data = attribute.nested(2, [attribute.raw(1, value)])
    return _expression("immediate", [attribute.be32(1, register), data])


def decode_verdict(data: bytes) -> tuple[int, str | None] | None:
    """Read the data of an `immediate`: what happens to the packet, and the chain; None of a value."""
    given = attribute.read(attribute.read(attribute.read(data).get(2, b"")).get(2, b""))
    code = attribute.big_number(given.get(1))
    return None if code is None else (code, attribute.words(given.get(2)))


def decode_compared(data: bytes) -> bytes:
    """Read from the data of a `cmp` what is compared with."""
    return attribute.read(attribute.read(data).get(3, b"")).get(1, b"")


def masquerade(flags: int = 0, lowest: int | None = None, highest: int | None = None) -> bytes:
    """Give the packet the address of the link by which it leaves.

    Where two registers are named, the port is from the one's to the other's.
    """
    parts = [attribute.be32(1, flags)] if flags else []
    if lowest is not None and highest is not None:
        parts += [attribute.be32(2, lowest), attribute.be32(3, highest)]
    return _expression("masq", parts)


def route_link(what: int, register: int = REGISTER) -> bytes:
    """Load the index of the link that the routes have for what is looked up; 0 if they have none."""
    return _fib(what, _FIB_LINK, register)


def route_kind(what: int, register: int = REGISTER) -> bytes:
    """Load the kind of the route for what is looked up, such as LOCAL, as four bytes."""
    return _fib(what, _FIB_KIND, register)


def untracked() -> bytes:
    """Keep the packet out of the tracking of connections."""
    return _expression("notrack", [])


def counter() -> bytes:
    """Count packets and bytes."""
    return _expression("counter", [])


def _fib(what: int, result: int, register: int) -> bytes:
    parts = [attribute.be32(1, register), attribute.be32(2, result), attribute.be32(3, what)]
    return _expression("fib", parts)


def _expression(name: str, data: list[bytes]) -> bytes:
    return attribute.nested(1, [attribute.text(1, name), attribute.nested(2, data)])
