"""Shapes that both Pythons' primitives share; read by the type checker only."""

from __future__ import annotations

from typing import Protocol

Address = str | bytes | tuple[str, int]


class Stream(Protocol):
    """Bytes to and from a peer without blocking; None means: wait for `events`, then call again."""

    events: int

    def fileno(self) -> int:
        """Give the descriptor to wait for."""

    def send(self, data: bytes | memoryview, /) -> int | None:
        """Send a part and give its size."""

    def receive(self, size: int, /) -> bytes | None:
        """Give what came, at most so many bytes, none at the end."""

    def close(self) -> None:
        """Let go of the connection."""
