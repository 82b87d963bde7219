"""Opening and closing a database."""

from __future__ import annotations

import asyncio

import pytest

from ipamd.backends.conformance.examples import NOW, allocation, begin, write
from ipamd.backends.conformance.harness import Harness
from ipamd.backends.interface import Backend, Changes
from ipamd.models.errors import DatabaseUnfit, Unavailable
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio


async def test_an_open_database_is_ready_and_a_closed_one_says_that_it_is_not(backend: Backend) -> None:
    assert await backend.ready() is None

    await backend.close()

    sentence = await backend.ready()
    assert sentence is not None
    assert "closed" in sentence


async def test_a_closed_database_takes_no_more_work(backend: Backend) -> None:
    await backend.close()

    with pytest.raises(Unavailable):
        await write(backend, Changes())
    with pytest.raises(Unavailable):
        await backend.change(lambda catalogue: catalogue.raise_revision())


async def test_closing_twice_does_nothing_more(backend: Backend) -> None:
    await backend.close()

    await backend.close()


async def test_closing_finishes_what_is_under_way(backend: Backend) -> None:
    units = [
        asyncio.ensure_future(write(backend, Changes(begun=[allocation(f"10.0.0.{number}", f"c{number}")])))
        for number in range(10)
    ]
    await asyncio.sleep(0)

    await backend.close()

    assert await asyncio.gather(*units) == [None] * 10


async def test_a_backend_says_how_many_units_of_work_are_worth_having_at_once(backend: Backend) -> None:
    assert backend.lanes >= 1


async def test_a_second_opening_sees_the_same_or_is_refused(
    harness: Harness, url: str, backend: Backend
) -> None:
    stored = await begin(backend, allocation(since=NOW))
    if not harness.lasting:
        return
    if not harness.shared:
        with pytest.raises(DatabaseUnfit):
            await harness.open(url)
    else:
        second = await harness.open(url)
        assert await second.ledger.page(AllocationQuery(), None, 10) == stored
        await second.close()
    assert await backend.ledger.page(AllocationQuery(), None, 10) == stored
