"""Reading for the check, and the dropping of history."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from ipamd.backends.conformance.examples import (
    NOW,
    PLAIN,
    WAIT,
    allocation,
    begin,
    block,
    carve,
    end,
    ending,
    remove,
    save,
    write,
)
from ipamd.backends.interface import Backend, BlockId, BlockRecord, Changes, RowPosition
from ipamd.models.allocation import Allocation, Idempotency
from ipamd.models.instant import Instant
from ipamd.models.query import HistoryQuery

pytestmark = pytest.mark.asyncio

FIRST = 10 << 24
MOST = 100
STEPS = 1000
LAB = replace(PLAIN, name="lab", space="lab")
SIX = replace(PLAIN, name="six", subnet=ip_network("fd00::/64"), block_length=122)


def place(row: Allocation) -> RowPosition:
    return RowPosition(row.space, row.address.packed, row.since, row.stored_id)


async def forget(backend: Backend, before: Instant) -> None:
    """Drop all that ended until an instant."""
    reached = 0
    for _ in range(STEPS):
        following = await backend.forget_history(before, reached)
        if following is None:
            return
        reached = following
    raise AssertionError("there is no end to what is dropped")


async def record(backend: Backend, first: int = FIRST, **fields: Any) -> BlockRecord:
    """What is said of a block, inside a unit of work as outside."""
    pool = replace(PLAIN, **fields)
    inside = await backend.transact(lambda transaction: transaction.record(pool, first), WAIT)
    blocks = {
        (each.pool, each.first): found for each, found in (await backend.audit.blocks(None, MOST)).blocks
    }
    outside = blocks[pool.name, first]
    assert (inside.ended, inside.forgotten, inside.reused) == (
        outside.ended,
        outside.forgotten,
        outside.reused,
    )
    assert ids(inside.live) == ids(outside.live)
    return inside


def ids(rows: Any) -> list[int]:
    return sorted(row.stored_id for row in rows)


async def test_a_block_comes_with_what_the_allocations_say_of_it(backend: Backend) -> None:
    await save(backend, PLAIN, LAB)
    await carve(backend, block(FIRST), block(FIRST + 64))
    [a, b, c] = await begin(
        backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.63", "c2"), allocation("10.0.0.64", "c3")
    )
    await end(backend, a, NOW + 5)
    [again] = await begin(backend, allocation("10.0.0.1", "c4", since=NOW + 6))
    await end(backend, again, NOW + 7)
    [live] = await begin(backend, allocation("10.0.0.1", "c5", since=NOW + 8))
    await begin(backend, allocation("10.0.0.2", "c6", space="lab", pool="lab"))
    await end(backend, c, NOW + 9)

    first, second = await record(backend), await record(backend, FIRST + 64)

    assert (ids(first.live), first.ended) == (ids([live, b]), {FIRST + 1: NOW + 7})
    assert (ids(second.live), second.ended) == ([], {FIRST + 64: NOW + 9})
    assert (first.forgotten, first.reused) == (0, False)


async def test_of_an_address_the_row_that_began_last_says_when_it_was_given_back(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    [a] = await begin(backend, allocation("10.0.0.1", "c1", since=NOW + 1))
    await end(backend, a, NOW + 50)
    [b] = await begin(backend, allocation("10.0.0.1", "c2", since=NOW + 2))
    await end(backend, b, NOW + 3)

    assert (await record(backend)).ended == {FIRST + 1: NOW + 3}


async def test_what_another_pool_had_says_nothing_of_a_block(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    [a] = await begin(backend, allocation("10.0.0.1", "c1", pool="earlier"))
    await end(backend, a)
    await begin(backend, allocation("10.0.0.2", "c2", pool="other"))

    assert await record(backend) == BlockRecord([], {}, 0, reused=False)


async def test_a_name_that_a_removed_pool_had_is_told(backend: Backend) -> None:
    await save(backend, PLAIN)
    await remove(backend, PLAIN)
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))

    assert (await record(backend)).reused


async def test_blocks_come_in_the_order_of_pool_and_number_at_their_revision(backend: Backend) -> None:
    revision = await save(backend, PLAIN, SIX)
    six = int(ip_network("fd00::/64")[0])
    await carve(backend, block(six, pool="six"))
    await carve(backend, block(FIRST + 64), block(FIRST))
    await carve(backend, block(0, pool="nobody's"))

    found: list[tuple[str, int]] = []
    while True:
        page = await backend.audit.blocks(BlockId(*found[-1]) if found else None, 2)
        assert page.revision == revision
        if not page.blocks:
            break
        found += [(each.pool, each.first) for each, _ in page.blocks]

    assert found == [("nobody's", 0), ("pods", FIRST), ("pods", FIRST + 64), ("six", six)]


async def test_rows_come_by_address_and_of_one_address_by_time_from_where_one_stands(
    backend: Backend,
) -> None:
    revision = await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    [far] = await begin(backend, allocation("10.0.0.9", "c1"))
    [late] = await begin(backend, allocation("10.0.0.1", "c2", since=NOW + 9))
    await end(backend, late, NOW + 10)
    [early] = await begin(backend, allocation("10.0.0.1", "c3", since=NOW + 3))
    await end(backend, early, NOW + 4)
    # It has the address now, and began before another by the clock, which was set back.
    [now] = await begin(backend, allocation("10.0.0.1", "c5", since=NOW + 5))
    [elsewhere] = await begin(backend, allocation("10.0.0.1", "c4", space="alpha", pool="none"))

    whole = await backend.audit.rows(None, MOST)
    rest = await backend.audit.rows(place(late), MOST)
    two = await backend.audit.rows(None, 2)
    middle = await backend.audit.rows(place(early), 2)

    assert [row.id for row in whole.rows] == [elsewhere.id, early.id, now.id, late.id, far.id]
    assert [row.id for row in rest.rows] == [late.id, far.id]
    assert [row.id for row in two.rows] == [elsewhere.id, early.id]
    assert [row.id for row in middle.rows] == [early.id, now.id]
    assert whole.blocks == {BlockId("pods", FIRST)}
    assert whole.revision == revision


async def test_history_that_is_dropped_is_gone_and_everything_else_stays(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    key = Idempotency("t k", b"b")
    stored = await begin(
        backend,
        *(allocation(f"10.0.0.{n}", f"c{n}", since=NOW - 100) for n in range(1, 5)),
        allocation("10.0.0.9", "c9", since=NOW - 100, idempotency=key),
    )
    [old, just, young, live, keyed] = stored
    await end(backend, old, NOW - 10)
    await end(backend, just, NOW)
    await end(backend, keyed, NOW - 10)
    young = await end(backend, young, NOW + 1)

    await forget(backend, NOW)

    kept = await backend.ledger.history(HistoryQuery(), None, MOST)
    assert ids(kept) == ids([young, live])
    assert [await backend.ledger.allocation(row.stored_id) for row in stored] == [
        None,
        None,
        young,
        live,
        None,
    ]
    assert await backend.ledger.by_idempotency_key("t k") is None
    assert (await record(backend)).forgotten == NOW
    assert (await record(backend)).ended == {FIRST + 3: NOW + 1}


async def test_what_may_be_missing_is_never_said_to_be_less(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    for number, before in enumerate((NOW, NOW - 50), 1):
        [row] = await begin(backend, allocation("10.0.0.1", f"c{number}", since=NOW - 100))
        await end(backend, row, NOW - 60)
        await forget(backend, before)

    assert (await record(backend)).forgotten == NOW


async def test_all_that_is_old_is_dropped_however_much_it_is(backend: Backend) -> None:
    rows = [allocation(f"10.0.{n // 250}.{n % 250}", f"c{n}", since=NOW - 100 + n // 10) for n in range(2600)]
    stored = await begin(backend, *rows)
    ends = [(row, NOW - 1 if at % 2 else NOW + 1) for at, row in enumerate(stored) if at % 5]
    await write(backend, Changes(ended=[ending(row, until) for row, until in ends]))

    await forget(backend, NOW)

    expected = {row.stored_id for row in stored} - {row.stored_id for row, until in ends if until <= NOW}
    kept = await backend.ledger.history(HistoryQuery(), None, len(stored))
    assert {row.stored_id for row in kept} == expected


async def test_an_id_is_not_given_again_when_its_row_was_dropped(backend: Backend) -> None:
    [old] = await begin(backend, allocation("10.0.0.1", "c1", since=NOW - 10))
    await end(backend, old, NOW - 5)
    await forget(backend, NOW)

    [new] = await begin(backend, allocation("10.0.0.1", "c2"))

    assert new.stored_id > old.stored_id
