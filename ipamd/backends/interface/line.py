"""The line of those who wait for room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ipamd.models.waiter import Waiter


class Line(Protocol):
    """Rows that tell who waits. Each method is durable when it returns; all may raise `InDoubt`."""

    async def enter(self, waiter: Waiter, most: int) -> int | None:
        """Put a waiter behind all others. Returns its number, or None if `most` wait already.

        A number is above all that were ever given. Whoever reads it has also read all lower ones that are
        still in the line.
        """
        ...

    async def read(self) -> Sequence[Waiter]:
        """All waiters, the first of them first."""
        ...

    async def renew(self, replica: str) -> None:
        """Raise the beat of all waiters of a replica by one."""
        ...

    async def change(self, number: int, lacks: tuple[str, ...]) -> None:
        """Write what a waiter lacks, if it is still in the line."""
        ...

    async def leave(self, numbers: Sequence[int]) -> None:
        """Remove waiters from the line, as far as they are still there."""
        ...
