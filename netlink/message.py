"""Requests to the kernel, its answers, and its refusals (linux/netlink.h)."""

from __future__ import annotations

from netlink import attribute
from netlink.attribute import Malformed

ERROR, DONE = 2, 3
"""Kinds of messages that end an answer; an ERROR with the number 0 is a yes."""

REQUEST, ACK = 0x1, 0x4
DUMP = 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
_DUMP_INTERRUPTED = 0x10
_ACK_CAPPED, _ACK_WITH_ATTRIBUTES = 0x100, 0x200

_HEADER = 16
_ERROR_NUMBER = 4
_TEXT = 1  # NLMSGERR_ATTR_MSG


class Request:
    """One request: a kind, flags (REQUEST goes without saying) and a body."""

    def __init__(self, kind: int, flags: int, body: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.body = body


class Message:
    """One message of the kernel's."""

    __slots__ = ("body", "flags", "kind", "sequence")  # there may be thousands in a list

    def __init__(self, kind: int, flags: int, sequence: int, body: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.sequence = sequence
        self.body = body

    def tells_of_interruption(self) -> bool:
        """Tell whether what was listed changed meanwhile, so that the list may lack something."""
        return bool(self.flags & _DUMP_INTERRUPTED)


class Refusal:
    """Why the kernel refused: the error's number, and the words that it has for some."""

    def __init__(self, errno: int, text: str = "") -> None:
        self.errno = errno
        self.text = text


def encode(request: Request, sequence: int, flags: int = 0) -> bytes:
    """Give the bytes of a request, which the kernel takes several of at once."""
    size = _HEADER + len(request.body)
    head = size | request.kind << 32 | (request.flags | flags | REQUEST) << 48
    return head.to_bytes(8, "little") + sequence.to_bytes(8, "little") + request.body + bytes(-size & 3)


def decode(data: bytes) -> list[Message]:
    """Take apart what came at once; Malformed if a message is cut off."""
    found = []
    at = 0
    while at < len(data):
        head = int.from_bytes(data[at : at + _HEADER], "little")
        size = head & 0xFFFFFFFF
        if size < _HEADER or at + size > len(data):
            raise Malformed(f"a message of {size} bytes in {len(data) - at}")
        body = data[at + _HEADER : at + size]
        found.append(Message(head >> 32 & 0xFFFF, head >> 48 & 0xFFFF, head >> 64 & 0xFFFFFFFF, body))
        at += size + 3 & ~3
    return found


def refusal(message: Message) -> Refusal | None:
    """Give what an ERROR or DONE refuses; None if it says yes."""
    if len(message.body) < _ERROR_NUMBER:
        return None
    negative = int.from_bytes(message.body[:_ERROR_NUMBER], "little")
    if negative == 0:
        return None
    return Refusal(0x100000000 - negative, _text(message))


def _text(message: Message) -> str:
    """Give the kernel's words, which stand behind the request that it repeats, or its header alone."""
    if not message.flags & _ACK_WITH_ATTRIBUTES:
        return ""
    start = _ERROR_NUMBER
    if message.kind == ERROR:
        repeated = int.from_bytes(message.body[_ERROR_NUMBER : _ERROR_NUMBER + 4], "little")
        start += _HEADER if message.flags & _ACK_CAPPED else repeated + 3 & ~3
    return attribute.words(attribute.read(message.body, start).get(_TEXT)) or ""
