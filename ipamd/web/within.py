"""Requests that are answered in this process, without a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to such a request."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


async def answered(application: ASGIApp, scope: Scope, body: bytes = b"") -> Answered:
    """Have an application answer a request."""
    sent: list[Message] = []
    asked = [{"type": "http.request", "body": body, "more_body": False}]
    ended = asyncio.Event()

    async def receive() -> Message:
        if not asked:
            await ended.wait()  # whoever asks waits for the answer, and never goes away before it
        return asked.pop() if asked else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await application(scope, receive, send)
    except Exception:
        if not sent:
            raise
        # It has answered with 500 and logged it: Starlette raises it once more, for a server's own log.
    finally:
        ended.set()
    headers = {name.lower(): value for name, value in sent[0].get("headers", ())}
    return Answered(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))
