"""Moments that a clock wrote which was ahead, and time itself."""

from __future__ import annotations

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import NOW, allocation, begin, end, find, release, write
from ipamd.backends.interface import Backend, Changes, Counted, SetBack
from ipamd.models.identity import digest_of
from ipamd.models.query import HistoryQuery

pytestmark = pytest.mark.asyncio

AHEAD = NOW + 10**14


async def test_moments_that_are_set_back_are_lowered_and_never_raised(backend: Backend) -> None:
    [late, right, live] = await begin(
        backend,
        allocation("10.0.0.1", "c1", since=AHEAD),
        allocation("10.0.0.2", "c2", since=NOW - 9, free_since=NOW - 9),
        allocation("10.0.0.3", "c3", since=AHEAD, free_since=AHEAD),
    )
    late, right = await end(backend, late, AHEAD + 1), await end(backend, right, NOW - 5)

    await write(
        backend, Changes(set_back=[SetBack(each.stored_id, NOW, NOW + 1) for each in (late, right, live)])
    )

    kept = await backend.ledger.history(HistoryQuery(), None, 10)
    assert sorted(kept, key=lambda row: row.stored_id) == [
        structs.replace(late, since=NOW, until=NOW + 1),
        right,
        structs.replace(live, since=NOW, free_since=NOW + 1),
    ]


async def test_what_ends_before_it_began_can_be_set_back_as_it_ends(backend: Backend) -> None:
    [row] = await begin(backend, allocation(since=AHEAD))

    ended = await end(backend, row, NOW)
    await write(backend, Changes(set_back=[SetBack(row.stored_id, NOW, NOW)]))

    assert await backend.ledger.allocation(row.stored_id) == structs.replace(ended, since=NOW)
    at = HistoryQuery(address=row.address, at=NOW)
    assert not await backend.ledger.history(at, None, 10)


async def test_a_row_that_is_gone_cannot_be_set_back_and_that_is_no_error(backend: Backend) -> None:
    await write(backend, Changes(set_back=[SetBack(7, NOW, NOW)]))

    assert not await backend.ledger.history(HistoryQuery(), None, 10)


async def test_releases_that_are_remembered_too_long_are_counted_and_shortened(backend: Backend) -> None:
    one, other = digest_of("one"), digest_of("other")
    ahead = [release(one, 1, until=AHEAD), release(one, 1, undo=True, until=NOW + 1)]
    await write(backend, Changes(remembered=[*ahead, release(other, 2, until=NOW)]))

    assert await backend.audit.remembered_after(NOW) == 2
    assert await backend.shorten_releases(NOW) == 2

    assert await backend.audit.remembered_after(NOW) == 0
    found = await find(backend, one, other)
    assert {each.until for known in found.releases.values() for each in known} == {NOW}
    assert len(found.releases[one]) == 2


async def test_counted_time_goes_on_and_never_back_unless_it_is_set_back(backend: Backend) -> None:
    assert await backend.audit.counted() == Counted(0, 0)

    await backend.count_time(AHEAD)
    await backend.count_time(NOW)
    await backend.set_time_back(AHEAD + 1)
    assert await backend.audit.counted() == Counted(AHEAD, 0)

    await backend.set_time_back(NOW)
    assert await backend.audit.counted() == Counted(NOW, 0)


async def test_what_may_be_missing_is_set_back_with_time(backend: Backend) -> None:
    [row] = await begin(backend, allocation(since=NOW))
    await end(backend, row, NOW + 1)
    await backend.forget_history(AHEAD, 0)
    assert (await backend.audit.counted()).forgotten == AHEAD

    await backend.set_time_back(NOW)

    assert (await backend.audit.counted()).forgotten == NOW
