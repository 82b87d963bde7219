"""The line of waiters in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ipamd.models.waiter import Waiter


class MemoryLine:
    """See `Line`."""

    def __init__(self) -> None:
        self._waiters: dict[int, Waiter] = {}
        self._last = 0

    async def enter(self, waiter: Waiter, most: int) -> int | None:
        if len(self._waiters) >= most:
            return None
        self._last += 1
        self._waiters[self._last] = replace(waiter, number=self._last)
        return self._last

    async def read(self) -> Sequence[Waiter]:
        return list(self._waiters.values())

    async def renew(self, replica: str) -> None:
        for number, waiter in self._waiters.items():
            if waiter.replica == replica:
                self._waiters[number] = replace(waiter, beat=waiter.beat + 1)

    async def change(self, number: int, lacks: tuple[str, ...]) -> None:
        if number in self._waiters:
            self._waiters[number] = replace(self._waiters[number], lacks=lacks)

    async def leave(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._waiters.pop(number, None)
