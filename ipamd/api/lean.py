"""Requests that are answered without a framework in between: those of which every container costs some."""

from __future__ import annotations

from typing import Protocol

from ipamd.api.access import Unknown
from ipamd.api.reply import Reply
from ipamd.models.errors import DomainError
from ipamd.models.node import NodeKey

Only = NodeKey | None
"""The only node for which the caller may speak, None for every node."""


class LeanRoute(Protocol):
    """A request by POST. `answer` takes a body of at most `largest` bytes."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        ...

    @property
    def largest(self) -> int: ...

    async def answer(self, raw: bytes, only: Only) -> Reply:
        """The answer, whatever the bytes are."""
        ...

    def refuse(self, error: Unknown | DomainError) -> Reply:
        """The answer to a caller without permission."""
        ...

    def too_large(self) -> Reply:
        """The answer to a body that is too large."""
        ...
