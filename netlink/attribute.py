"""Attributes, of which every netlink message is made: length, kind and value, padded to four bytes."""

from __future__ import annotations

_HEADER = 4
_NESTED = 0x8000
_KIND = 0x3FFF


class Malformed(ValueError):
    """Bytes that should be a netlink message are none: cut off, or of a length that cannot be."""


def raw(kind: int, value: bytes) -> bytes:
    """Give an attribute whose value is bytes."""
    size = _HEADER + len(value)
    return (size | kind << 16).to_bytes(_HEADER, "little") + value + bytes(-size & 3)


def u8(kind: int, number: int) -> bytes:
    """Give an attribute whose value is a number of one byte."""
    return raw(kind, number.to_bytes(1, "little"))


def u16(kind: int, number: int) -> bytes:
    """Give an attribute whose value is a number of two bytes, in the machine's order."""
    return raw(kind, number.to_bytes(2, "little"))


def u32(kind: int, number: int) -> bytes:
    """Give an attribute whose value is a number of four bytes, in the machine's order."""
    return raw(kind, number.to_bytes(4, "little"))


def be16(kind: int, number: int) -> bytes:
    """Give an attribute whose value is a number of two bytes, in the network's order."""
    return raw(kind, number.to_bytes(2, "big"))


def be32(kind: int, number: int) -> bytes:
    """Give an attribute whose value is a number of four bytes, in the network's order."""
    return raw(kind, number.to_bytes(4, "big"))


def text(kind: int, value: str) -> bytes:
    """Give an attribute whose value is a text that ends with NUL."""
    return raw(kind, value.encode() + b"\0")


def nested(kind: int, parts: list[bytes]) -> bytes:
    """Give an attribute whose value is attributes."""
    return raw(kind | _NESTED, b"".join(parts))


def read(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Give the values by their kinds, the last of a kind that comes twice; Malformed."""
    found: dict[int, bytes] = {}
    for kind, value in items(data, start):
        found[kind] = value
    return found


def items(data: bytes, start: int = 0) -> list[tuple[int, bytes]]:
    """Give kinds and values in their order; Malformed."""
    found = []
    at = start
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        if size < _HEADER or at + size > len(data):
            raise Malformed(f"an attribute of {size} bytes in {len(data) - at}")
        kind = int.from_bytes(data[at + 2 : at + 4], "little") & _KIND
        found.append((kind, data[at + _HEADER : at + size]))
        at += size + 3 & ~3
    return found


def number(value: bytes | None) -> int | None:
    """Read a number in the machine's order, of any size; None of None."""
    return None if value is None else int.from_bytes(value, "little")


def big_number(value: bytes | None) -> int | None:
    """Read a number in the network's order, of any size; None of None."""
    return None if value is None else int.from_bytes(value, "big")


def words(value: bytes | None) -> str | None:
    """Read a text up to its NUL; None of None."""
    return None if value is None else value.split(b"\0")[0].decode()
