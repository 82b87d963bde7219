"""The line of waiters."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ipamd.models.waiter import Waiter
from ipamd_file.store import Store

T = TypeVar("T")


class Unit(Protocol):
    """Runs a unit of work on its thread."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]: ...


class FileLine:
    """See `Line`."""

    def __init__(self, store: Store, unit: Unit) -> None:
        self._store = store
        self._unit = unit

    async def enter(self, waiter: Waiter, most: int) -> int | None:
        async def enter() -> int | None:
            if len(self._store.tables["waiter"]) >= most:
                return None
            number: int = self._store.get("number", "waiter", 0) + 1
            self._store.put("number", "waiter", number)
            self._store.put("waiter", number, replace(waiter, number=number))
            return number

        return await self._unit(enter())

    async def read(self) -> Sequence[Waiter]:
        async def read() -> Sequence[Waiter]:
            return sorted(self._store.values("waiter"), key=lambda waiter: waiter.number)

        return await self._unit(read())

    async def renew(self, replica: str) -> None:
        async def renew() -> None:
            for waiter in self._store.values("waiter"):
                if waiter.replica == replica:
                    self._store.put("waiter", waiter.number, replace(waiter, beat=waiter.beat + 1))

        await self._unit(renew())

    async def change(self, number: int, lacks: tuple[str, ...]) -> None:
        async def change() -> None:
            waiter = self._store.get("waiter", number)
            if waiter is not None:
                self._store.put("waiter", number, replace(waiter, lacks=lacks))

        await self._unit(change())

    async def leave(self, numbers: Sequence[int]) -> None:
        async def leave() -> None:
            for number in numbers:
                self._store.drop("waiter", number)

        await self._unit(leave())
