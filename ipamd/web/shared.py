"""Readings that take long, shared by all who look: nobody waits for one that was made lately."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

T = TypeVar("T")

FRESH: Final = 3.0
"""Seconds for which a reading is shown as it is."""

KEPT: Final = 60.0
"""Seconds for which it is shown while the next one is made. Nobody sees an older one."""

SHARE: Final = 100
"""A reading that took long is fresh for so many times as long: so it takes no more than 1 % of the time."""


@dataclass(frozen=True, slots=True)
class _Made:
    value: object
    at: float
    took: float

    def is_fresh(self, now: float) -> bool:
        return now - self.at < min(max(FRESH, SHARE * self.took), KEPT)


class Shared(Generic[T]):
    """Readings by their keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[Hashable, _Made] = {}
        self._making: dict[Hashable, asyncio.Task[_Made]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The reading of a key, made anew if it is old. If it is waited for, raises what `read` raises."""
        now, made = self._clock(), self._made.get(key)
        if made is not None and made.is_fresh(now):
            return cast(T, made.value)
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, read))
            making.add_done_callback(lambda done: self._done(key, done))
        if made is not None and now - made.at < KEPT:
            return cast(T, made.value)
        return cast(T, (await asyncio.shield(making)).value)

    def forget(self) -> None:
        """Forget all readings, for something was changed; those under way too."""
        self._made, self._making = {}, {}

    async def _make(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> _Made:
        began = self._clock()
        value = await read()
        return _Made(value, began, self._clock() - began)

    def _done(self, key: Hashable, making: asyncio.Task[_Made]) -> None:
        failed = making.cancelled() or making.exception() is not None
        if self._making.get(key) is not making:
            return  # it began before a change
        del self._making[key]
        now = self._clock()
        self._made = {each: made for each, made in self._made.items() if now - made.at < KEPT}
        if not failed:
            self._made[key] = making.result()
