"""Shapes that the type checker alone reads."""

from __future__ import annotations

from typing import Protocol


class Socket(Protocol):
    """An AF_NETLINK socket that does not block."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option that is a number."""

    def send(self, data: bytes, /) -> int:
        """Send one datagram."""

    def recv(self, size: int, /) -> bytes:
        """Give one datagram; OSError if none is there."""

    def fileno(self) -> int:
        """Give its descriptor."""

    def close(self) -> None:
        """Close it."""
