"""The line of waiters: its order, its bound, and what stays of a waiter that others do not touch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from ipamd.backends.conformance.examples import NOW
from ipamd.backends.interface import Backend
from ipamd.models.waiter import Waiter

pytestmark = pytest.mark.asyncio

MOST: Final = 5
ONE: Final = Waiter(
    replica="a",
    owner="vm-ä",
    pools=("pods", "spare"),
    lacks=("pool pods", "quota team IPv4 default/team"),
    since=NOW,
    until=NOW + 60_000_000,
)
OTHER: Final = replace(ONE, replica="b", owner="vm-2", pools=(), lacks=())


async def enter(backend: Backend, waiter: Waiter, most: int = MOST) -> int:
    number = await backend.line.enter(waiter, most)
    assert number is not None
    return number


async def test_waiters_are_read_as_they_came_the_first_of_them_first(
    backend: Backend, replica: Backend
) -> None:
    assert await backend.line.read() == []
    first = await enter(backend, ONE)
    second = await enter(replica, OTHER)

    assert second > first > 0
    for each in (backend, replica):
        assert list(await each.line.read()) == [replace(ONE, number=first), replace(OTHER, number=second)]


async def test_no_more_wait_than_may_and_those_who_leave_make_room(backend: Backend) -> None:
    numbers = [await enter(backend, ONE) for _ in range(MOST)]
    assert await backend.line.enter(OTHER, MOST) is None
    await backend.line.leave([numbers[1], numbers[3], 999_999])
    await backend.line.leave([])

    last = await enter(backend, OTHER)
    left = [waiter.number for waiter in await backend.line.read()]
    assert left == [numbers[0], numbers[2], numbers[4], last]


async def test_a_number_is_never_given_again(backend: Backend) -> None:
    number = await enter(backend, ONE)
    await backend.line.leave([number])

    assert await enter(backend, ONE) > number


async def test_only_the_waiters_of_a_replica_are_renewed(backend: Backend) -> None:
    numbers = [await enter(backend, each) for each in (ONE, OTHER, ONE)]
    await backend.line.renew("a")
    await backend.line.renew("a")
    await backend.line.renew("nobody")

    assert [(waiter.number, waiter.beat) for waiter in await backend.line.read()] == [
        (numbers[0], 2),
        (numbers[1], 0),
        (numbers[2], 2),
    ]


async def test_what_a_waiter_lacks_changes_and_nothing_else_of_it(backend: Backend) -> None:
    first, second = await enter(backend, ONE), await enter(backend, OTHER)
    await backend.line.change(first, ("address 10.0.0.1 of default",))
    await backend.line.change(999_999, ("pool pods",))

    changed = replace(ONE, number=first, lacks=("address 10.0.0.1 of default",))
    assert list(await backend.line.read()) == [changed, replace(OTHER, number=second)]


async def test_whoever_is_read_has_nobody_before_it_who_comes_later(
    backend: Backend, replica: Backend
) -> None:
    seen: list[list[int]] = []
    entered = asyncio.Event()

    async def look() -> None:
        while not entered.is_set():
            seen.append([waiter.number for waiter in await replica.line.read()])
            await asyncio.sleep(0)  # a database in memory suspends nobody

    looking = asyncio.create_task(look())
    for _ in range(5):
        await asyncio.gather(*(enter(each, ONE, most=1000) for each in (backend, replica) for _ in range(4)))
    entered.set()
    await looking

    every = [waiter.number for waiter in await backend.line.read()]
    assert len(set(every)) == 40
    assert all(found == every[: len(found)] for found in seen)


async def test_a_bound_holds_for_all_replicas_together(backend: Backend, replica: Backend) -> None:
    given = await asyncio.gather(
        *(each.line.enter(ONE, MOST) for each in (backend, replica) for _ in range(MOST))
    )

    assert len([number for number in given if number is not None]) == MOST
