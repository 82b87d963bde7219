"""Read the body of a request, up to its limit."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.types import Message, Receive, Scope

KIBIBYTE: Final = 1024
LARGEST_BODY: Final = 256 * KIBIBYTE
LARGEST_COLLECTION: Final = 4096 * KIBIBYTE
"""CNI GC names every attachment of a node."""

_DECODER: Final = msgspec.json.Decoder()


class BodyTooLarge(Exception):
    """A body is too large. What was read is dropped, and the rest is not read."""


class ClientGone(Exception):
    """The connection ended before the body did, so nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this name, None if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


async def read_body(scope: Scope, receive: Receive, largest: int) -> bytes:
    """The whole body. Raises BodyTooLarge, ClientGone. The server cuts off clients that are too slow."""
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced[:20]) > largest:
        raise BodyTooLarge
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > largest:
            raise BodyTooLarge
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def why_not_json(body: bytes) -> str | None:
    """Why a body is not JSON (RFC 8259), None if it is.

    Python's own reader accepts more: UTF-16, NaN, half a surrogate pair. Such a body is refused.
    """
    try:
        _DECODER.decode(body)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return str(error)
    return None


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the next application a body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
