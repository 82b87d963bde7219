"""Readings that all who look share: how old one may be, who waits, and what a change does to them."""

import asyncio

import pytest

from ipamd.web.shared import FRESH, KEPT, SHARE, Shared


class Source:
    """Something that is read: it counts, and a reading takes so long by a clock that stands otherwise."""

    def __init__(self, takes: float = 0.0) -> None:
        self.now = 1000.0
        self.shared: Shared[int] = Shared(lambda: self.now)
        self.takes = takes
        self.readings = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def read(self) -> int:
        self.readings += 1
        number = self.readings
        await self.goes_on.wait()
        self.now += self.takes
        if number < 0:
            raise OSError
        return number

    async def get(self) -> int:
        return await self.shared.get("one", self.read)


async def settled() -> None:
    """What was begun goes on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("takes", "age", "shown", "next_shown"),
    [
        (0.0, FRESH - 0.1, 1, 1),
        (0.0, FRESH + 0.1, 1, 2),  # shown as it is, and made anew meanwhile
        (0.0, KEPT - 0.1, 1, 2),
        (0.0, KEPT + 0.1, 2, 2),  # too old for anybody: it is waited for
        (0.1, SHARE * 0.1 - 0.2, 1, 1),  # what took long is fresh for longer
        (0.1, SHARE * 0.1 + 0.2, 1, 2),
        (9.0, KEPT + 0.1, 2, 2),
    ],
)
async def test_how_old_a_reading_may_be(takes: float, age: float, shown: int, next_shown: int) -> None:
    source = Source(takes)
    began = source.now
    assert await source.get() == 1
    source.now = began + age

    assert await source.get() == shown
    await settled()
    assert await source.get() == next_shown


async def test_those_who_ask_at_once_wait_for_one_reading() -> None:
    source = Source()

    assert await asyncio.gather(*(source.get() for _ in range(9))) == [1] * 9


async def test_a_change_is_seen_by_whoever_asks_after_it_though_a_reading_was_under_way() -> None:
    source = Source()
    source.goes_on.clear()
    before = asyncio.create_task(source.get())
    await settled()

    source.shared.forget()
    after = asyncio.create_task(source.get())
    await settled()
    source.goes_on.set()

    assert (await before, await after) == (1, 2)
    assert await source.get() == 2


async def test_a_reading_that_fails_is_told_to_those_who_wait_and_tried_again() -> None:
    source = Source()
    source.readings = -2

    with pytest.raises(OSError):
        await source.get()
    source.readings = 0
    assert await source.get() == 1


async def test_who_leaves_ends_no_reading_that_others_wait_for() -> None:
    source = Source()
    source.goes_on.clear()
    first, second = asyncio.create_task(source.get()), asyncio.create_task(source.get())
    await settled()

    first.cancel()
    await settled()
    source.goes_on.set()

    assert await second == 1
