"""Pages of who has an address and of who had it, and the sums over blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ipamd.backends.conformance.examples import (
    NOW,
    allocation,
    begin,
    block,
    carve,
    container,
    end,
    firsts,
    write,
)
from ipamd.backends.interface import Backend, Changes, Repeated
from ipamd.models.allocation import Allocation, Idempotency, Workload
from ipamd.models.identity import Owner, digest_of
from ipamd.models.issued import CallOrder
from ipamd.models.query import AllocationQuery, BlocksWanted, Fill, HistoryQuery

pytestmark = pytest.mark.asyncio

WEB = Workload("shop", "web-0", "u1")
DB = Workload("bank", "db-0", "u2")
ONE = ip_address("10.0.0.1")


def ids(rows: Sequence[Allocation]) -> list[int]:
    return [row.stored_id for row in rows]


async def several(backend: Backend) -> list[Allocation]:
    """Five live allocations that differ in what a list can be filtered by, and one that has ended."""
    owner = Owner("vm-1", digest_of("vm-1"))
    stored = await begin(
        backend,
        allocation("10.0.0.1", holder=container("c1"), workload=WEB),
        allocation("10.0.0.2", holder=container("c2", node="node-2"), workload=DB),
        allocation("10.0.0.3", holder=container("c1", network="storage"), workload=WEB, pool="other"),
        allocation("10.0.0.1", holder=container("c1", cluster="west"), space="lab"),
        allocation("fd00::1", holder=owner),
        allocation("10.0.0.9", holder=container("c9"), workload=WEB),
    )
    await end(backend, stored[5])
    return stored[:5]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 4, 3]),
        ({"pool": "pods"}, [0, 1, 4, 3]),
        ({"cluster": "west"}, [3]),
        ({"node": "node-2"}, [1]),
        ({"network": "storage"}, [2]),
        ({"namespace": "shop"}, [0, 2]),
        ({"namespace": "%"}, []),
        ({"name": "db-0"}, [1]),
        ({"container_id": "c1"}, [0, 2, 3]),
        ({"owner": "vm-1"}, [4]),
        ({"address": ONE}, [0]),
        ({"address": ONE, "space": "lab"}, [3]),
        ({"address": ip_address("fd00::1")}, [4]),
        ({"address": ip_address("10.0.0.9")}, []),
        ({"space": "lab"}, [3]),
        ({"pool": "pods", "between": (ONE, ip_address("10.0.0.2"))}, [0, 1]),
        ({"pool": "pods", "between": (ip_address("10.0.0.2"), ip_address("10.0.0.9"))}, [1]),
        ({"pool": "other", "between": (ip_address("10.0.0.2"), ip_address("10.0.0.9"))}, [2]),
        ({"pool": "pods", "space": "lab", "between": (ip_address("9.0.0.0"), ONE)}, [3]),
        ({"pool": "pods", "between": (ip_address("fd00::"), ip_address("fdff::"))}, [4]),
        ({"cluster": "default", "node": "node-1", "network": "pods"}, [0]),
        ({"container_id": "c1", "namespace": "shop", "pool": "other"}, [2]),
        ({"node": "node-1", "name": "db-0"}, []),
        ({"owner": "vm-1", "pool": "other"}, []),
        ({"address": ONE, "node": "node-2"}, []),
    ],
)
async def test_a_page_holds_what_lives_and_matches_all_filters(
    backend: Backend, query: dict[str, Any], expected: list[int]
) -> None:
    stored = await several(backend)

    page = await backend.ledger.page(AllocationQuery(**query), None, 10)

    assert list(page) == [stored[number] for number in expected]


@pytest.mark.parametrize("query", [{}, {"cluster": "default"}, {"namespace": "shop"}, {"container_id": "c1"}])
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_put_together_are_the_whole_list(
    backend: Backend, query: dict[str, Any], limit: int
) -> None:
    await several(backend)
    whole = list(await backend.ledger.page(AllocationQuery(**query), None, 100))

    pages: list[Allocation] = []
    while page := await backend.ledger.page(
        AllocationQuery(**query), ids(pages)[-1] if pages else None, limit
    ):
        assert len(page) <= limit
        pages += page

    assert pages == whole
    assert len(whole) > 1


@pytest.mark.parametrize("query", [{}, {"cluster": "default"}, {"network": "pods"}, {"name": "web-0"}])
async def test_bounded_pages_put_together_are_the_whole_list(backend: Backend, query: dict[str, Any]) -> None:
    await several(backend)
    whole = list(await backend.ledger.page(AllocationQuery(**query), None, 100))

    page = await backend.ledger.bounded_page(AllocationQuery(**query), None, 1)
    pages = list(page.rows)
    while page.next is not None:
        page = await backend.ledger.bounded_page(AllocationQuery(**query), page.next, 1)
        assert len(page.rows) <= 1
        pages += page.rows

    assert pages == whole
    assert whole


async def test_a_page_is_in_the_order_of_addresses_whenever_they_were_taken(backend: Backend) -> None:
    [six] = await begin(backend, allocation("9::", "c1"))
    [second] = await begin(backend, allocation("10.0.0.10", "c2"))
    [first] = await begin(backend, allocation("10.0.0.9", "c3"))

    listed: list[Allocation] = []
    while page := await backend.ledger.page(AllocationQuery(), listed[-1].id if listed else None, 1):
        listed += page

    assert ids(listed) == ids([six, first, second])


async def test_a_page_of_a_namespace_is_in_the_order_of_names(backend: Backend) -> None:
    [b] = await begin(backend, allocation("10.0.0.1", "c1", workload=Workload("shop", "b", None)))
    [a] = await begin(backend, allocation("10.0.0.3", "c2", workload=Workload("shop", "a", None)))
    [nameless] = await begin(backend, allocation("10.0.0.4", "c3", workload=Workload("shop", None, None)))
    [again] = await begin(backend, allocation("10.0.0.2", "c4", workload=Workload("shop", "a", None)))

    listed: list[Allocation] = []
    query = AllocationQuery(namespace="shop")
    while page := await backend.ledger.page(query, listed[-1].id if listed else None, 1):
        listed += page

    assert ids(listed) == ids([nameless, again, a, b])


async def test_pages_follow_one_another_without_what_ended_between(backend: Backend) -> None:
    stored = await several(backend)
    first = await backend.ledger.page(AllocationQuery(), None, 2)
    await end(backend, stored[1])
    await end(backend, stored[2])

    second = await backend.ledger.page(AllocationQuery(), first[-1].id, 2)
    last = await backend.ledger.page(AllocationQuery(), second[-1].id, 2)

    assert (ids(first), ids(second), ids(last)) == (ids(stored[:2]), ids([stored[4], stored[3]]), [])


async def test_what_begins_beyond_a_page_is_on_a_later_one_and_repeats_move_nothing(
    backend: Backend,
) -> None:
    stored = await several(backend)
    first = await backend.ledger.page(AllocationQuery(), None, 2)
    [new] = await begin(backend, allocation("10.0.0.7", "c7"))
    await write(backend, Changes(repeated=[Repeated(stored[0].stored_id, 2, CallOrder(1, 99), "b", None)]))

    rest = await backend.ledger.page(AllocationQuery(), first[-1].id, 10)

    assert ids(rest) == ids([stored[2], new, stored[4], stored[3]])


async def test_a_list_ends_behind_an_allocation_that_is_not_known(backend: Backend) -> None:
    await several(backend)

    assert list(await backend.ledger.page(AllocationQuery(), 999, 10)) == []
    assert list(await backend.ledger.history(HistoryQuery(), 999, 10)) == []


async def past(backend: Backend) -> list[Allocation]:
    """Holders of three addresses one after another, as they are stored in the end."""
    [a, b] = await begin(
        backend,
        allocation("10.0.0.1", "c1", workload=WEB, since=NOW),
        allocation("10.0.0.2", "c2", workload=DB, since=NOW),
    )
    a = await end(backend, a, NOW + 100)
    [c] = await begin(backend, allocation("10.0.0.1", "c3", workload=WEB, since=NOW + 200))
    c = await end(backend, c, NOW + 300)
    [d] = await begin(
        backend, allocation("10.0.0.1", holder=container("c4", node="node-2"), workload=DB, since=NOW + 400)
    )
    [e] = await begin(backend, allocation("10.0.0.1", "c5", space="lab", workload=WEB, since=NOW + 500))
    return [a, b, c, d, e]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"address": ONE}, [3, 2, 0]),
        ({"address": ONE, "space": "lab"}, [4]),
        ({"address": ONE, "at": NOW - 1}, []),
        ({"address": ONE, "at": NOW}, [0]),
        ({"address": ONE, "at": NOW + 99}, [0]),
        ({"address": ONE, "at": NOW + 100}, []),
        ({"address": ONE, "at": NOW + 250}, [2]),
        ({"address": ONE, "at": NOW + 9999}, [3]),
        ({"address": ONE, "after": NOW + 50, "before": NOW + 200}, [2, 0]),
        ({"namespace": "shop"}, [4, 2, 0]),
        ({"name": "db-0"}, [3, 1]),
        ({"namespace": "bank", "name": "web-0"}, []),
        ({"node": "node-1"}, [4, 2, 1, 0]),
        ({"cluster": "default", "node": "node-2"}, [3]),
        ({"cluster": "west"}, []),
        ({"cluster": "default"}, [4, 3, 2, 1, 0]),
        ({"node": "node-1", "at": NOW + 250}, [2, 1]),
        ({"at": NOW + 50}, [1, 0]),
        ({"after": NOW + 300}, [4, 3, 1]),
        ({"before": NOW + 200}, [2, 1, 0]),
        ({"at": NOW + 250, "after": NOW + 50, "before": NOW + 260, "namespace": "shop"}, [2]),
    ],
)
async def test_history_holds_what_matches_the_latest_first(
    backend: Backend, query: dict[str, Any], expected: list[int]
) -> None:
    stored = await past(backend)

    rows = await backend.ledger.history(HistoryQuery(**query), None, 10)

    assert list(rows) == [stored[number] for number in expected]


@pytest.mark.parametrize(
    "query", [{}, {"address": ONE}, {"node": "node-1"}, {"name": "web-0"}, {"namespace": "shop"}]
)
async def test_pages_of_history_put_together_are_all_of_it(backend: Backend, query: dict[str, Any]) -> None:
    await past(backend)
    whole = list(await backend.ledger.history(HistoryQuery(**query), None, 10))

    pages: list[Allocation] = []
    while page := await backend.ledger.history(HistoryQuery(**query), ids(pages)[-1] if pages else None, 1):
        pages += page

    assert pages == whole


@pytest.mark.parametrize("query", [{}, {"address": ONE}, {"namespace": "shop"}, {"at": NOW + 250}])
async def test_bounded_pages_of_history_put_together_are_all_of_it(
    backend: Backend, query: dict[str, Any]
) -> None:
    await past(backend)
    whole = list(await backend.ledger.history(HistoryQuery(**query), None, 10))

    page = await backend.ledger.bounded_history(HistoryQuery(**query), None, 1)
    pages = list(page.rows)
    while page.next is not None:
        page = await backend.ledger.bounded_history(HistoryQuery(**query), page.next, 1)
        pages += page.rows

    assert pages == whole


async def test_history_is_in_the_order_of_time_also_when_the_clock_stepped_back(backend: Backend) -> None:
    [later] = await begin(backend, allocation("10.0.0.1", "c1", since=NOW + 100))
    [earlier] = await begin(backend, allocation("10.0.0.2", "c2", since=NOW))
    await end(backend, later, NOW + 200)
    [live] = await begin(backend, allocation("10.0.0.1", "c3", since=NOW + 50))
    of_one = HistoryQuery(address=ONE)

    first = await backend.ledger.history(HistoryQuery(), None, 1)
    rest = await backend.ledger.history(HistoryQuery(), first[-1].id, 2)
    had_first = await backend.ledger.bounded_history(of_one, None, 1)
    has_it = await backend.ledger.bounded_history(of_one, had_first.next, 1)
    at_once = await backend.ledger.history(HistoryQuery(address=ONE, at=NOW + 150), None, 3)

    assert ids([*first, *rest]) == ids([later, live, earlier])
    assert ids([*had_first.rows, *has_it.rows]) == ids([later, live])
    assert ids(at_once) == ids([later, live])


async def test_one_allocation_is_told_by_its_id_live_or_ended(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    assert await backend.ledger.allocation(stored.stored_id) == stored

    ended = await end(backend, stored)

    assert await backend.ledger.allocation(stored.stored_id) == ended
    assert await backend.ledger.allocation(stored.stored_id + 1) is None


async def test_a_holders_allocations_come_by_position(backend: Backend) -> None:
    [second, first, third] = await begin(
        backend,
        allocation("10.0.0.1", position=1),
        allocation("10.0.0.2"),
        allocation("10.0.0.3", position=2),
    )
    await end(backend, third)

    assert list(await backend.ledger.held_by(first.digest)) == [first, second]
    assert list(await backend.ledger.held_by(digest_of("nobody"))) == []


async def test_an_idempotency_key_tells_its_first_row_live_or_ended(backend: Backend) -> None:
    key = Idempotency("token/key", b"hash")
    second = allocation("fd00::1", position=1, idempotency=key)
    [_, stored] = await begin(backend, second, allocation("10.0.0.1", idempotency=key))
    assert await backend.ledger.by_idempotency_key("token/key") == stored

    ended = await end(backend, stored)

    assert await backend.ledger.by_idempotency_key("token/key") == ended
    assert await backend.ledger.by_idempotency_key("token/other") is None


async def test_fill_adds_up_the_blocks_of_each_pool(backend: Backend) -> None:
    await carve(
        backend,
        block(0, allocated=64, next_free_since=None),
        block(64, allocated=32, next_free_since=NOW),
        block(128, allocated=1, last_freed=NOW + 5, next_free_since=NOW + 5),
    )
    await carve(backend, block(0, pool="full", allocated=64, next_free_since=None))

    fill = await backend.ledger.fill(["pods", "full", "empty"])

    assert set(fill) == {"pods", "full"}
    assert fill["pods"] == Fill(allocated=97, last_freed=NOW + 5, next_free_since=NOW)
    assert fill["full"] == Fill(allocated=64, last_freed=0, next_free_since=None)
    assert dict(await backend.ledger.fill([])) == {}
    assert await backend.ledger.allocated() == {"pods": 97, "full": 64}


async def test_fill_takes_what_is_added_up_already(backend: Backend) -> None:
    await carve(backend, block(0, allocated=64), block(64, allocated=32, last_freed=NOW))
    await carve(backend, block(0, pool="other", allocated=3))

    fill = await backend.ledger.fill(["pods", "other", "empty"], {"pods": 90, "empty": 0})

    assert fill["pods"] == Fill(allocated=90, last_freed=NOW, next_free_since=0)
    assert fill["other"].allocated == 3
    assert "empty" not in fill


async def test_stretches_of_a_pool_are_added_up_by_whole_blocks(backend: Backend) -> None:
    await carve(
        backend, *(block(first, allocated=held) for first, held in ((0, 64), (64, 1), (192, 7), (256, 9)))
    )
    await carve(backend, block(0, pool="other", allocated=3))
    stretches = [(256 * number, 256 * number + 255) for number in range(300)]

    assert await backend.ledger.allocated_in("pods", [(0, 127), (128, 191), (192, 255)]) == [65, 0, 7]
    assert await backend.ledger.allocated_in("pods", stretches) == [72, 9, *[0] * 298]
    assert await backend.ledger.allocated_in("pods", []) == []


async def test_blocks_of_several_pools_are_read_at_once(backend: Backend) -> None:
    await carve(backend, *(block(first, last_freed=NOW + first) for first in (0, 64, 128, 192)))
    await carve(backend, block(64, pool="other", last_freed=NOW + 1), block(128, pool="other"))
    many = [(64 * number, 64 * number) for number in range(3, 600)]

    found = await backend.ledger.blocks_of(
        [
            BlocksWanted("pods", NOW + 64, [(0, 0), *many]),
            BlocksWanted("other", NOW, []),
            BlocksWanted("absent", 0, [(0, 255)]),
        ]
    )

    assert {pool: firsts(blocks) for pool, blocks in found.items()} == {"pods": [0, 128, 192], "other": [64]}
    assert found["pods"][1] == replace(block(128), last_freed=NOW + 128)
    assert await backend.ledger.blocks_of([]) == {}


async def test_fill_follows_what_is_written(backend: Backend) -> None:
    await carve(backend, block(0), block(64))

    await write(backend, Changes(blocks=[block(0, allocated=64, next_free_since=None)]))

    fill = (await backend.ledger.fill(["pods"]))["pods"]
    assert (fill.allocated, fill.next_free_since) == (64, 0)


async def test_blocks_freed_lately_and_those_of_a_range_are_told_in_their_order(backend: Backend) -> None:
    lately = {256: NOW - 1, 64: NOW, 128: NOW + 1, 192: 0, 0: NOW + 9}
    await carve(backend, *(block(first, last_freed=freed) for first, freed in lately.items()))
    await carve(backend, block(320, pool="other", last_freed=NOW + 1))

    assert firsts(await backend.ledger.blocks("pods", NOW, None)) == [0, 128]
    assert firsts(await backend.ledger.blocks("pods", NOW, (191, 192))) == [0, 128, 192]
    [_, freed, _] = await backend.ledger.blocks("pods", NOW, (191, 192))
    assert freed == replace(block(128), last_freed=NOW + 1)
