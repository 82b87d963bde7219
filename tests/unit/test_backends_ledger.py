"""Pages of who has an address, and of who had it."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ipamd.backends.interface import Backend
from ipamd.models.allocation import Allocation, Idempotency, Workload
from ipamd.models.identity import Identity, Owner, digest_of
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.unit.conftest import NOW, allocation, begin, container, end

WEB = Workload("shop", "web-0", "u1")
DB = Workload("bank", "db-0", "u2")


def ids(rows: Any) -> list[int]:
    return [row.id for row in rows]


async def several(backend: Backend) -> list[Allocation]:
    """Five live allocations that differ in what a list can be filtered by."""
    owner = Owner("vm-1", digest_of("vm-1"))
    return await begin(
        backend,
        allocation("10.0.0.1", holder=container("c1"), workload=WEB),
        allocation("10.0.0.2", holder=container("c2", node="node-2"), workload=DB),
        allocation("10.0.0.3", holder=container("c1", network="storage"), workload=WEB, pool="other"),
        allocation("10.0.0.1", holder=container("c1", cluster="west"), space="lab"),
        allocation("fd00::1", holder=owner),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 4, 3]),
        ({"pool": "pods"}, [0, 1, 4, 3]),
        ({"cluster": "west"}, [3]),
        ({"node": "node-2"}, [1]),
        ({"network": "storage"}, [2]),
        ({"namespace": "shop"}, [0, 2]),
        ({"name": "db-0"}, [1]),
        ({"container_id": "c1"}, [0, 2, 3]),
        ({"owner": "vm-1"}, [4]),
        ({"address": ip_address("10.0.0.1")}, [0]),
        ({"address": ip_address("10.0.0.1"), "space": "lab"}, [3]),
        ({"address": ip_address("fd00::1")}, [4]),
        ({"address": ip_address("0.0.0.0")}, []),
        ({"space": "lab"}, [3]),
        ({"cluster": "default", "node": "node-1", "network": "pods"}, [0]),
        ({"container_id": "c1", "namespace": "shop", "pool": "other"}, [2]),
        ({"node": "node-1", "name": "db-0"}, []),
        ({"owner": "vm-1", "pool": "other"}, []),
    ],
)
async def test_a_page_holds_what_matches_all_filters(
    backend: Backend, query: dict[str, Any], expected: list[int]
) -> None:
    stored = await several(backend)

    page = await backend.ledger.page(AllocationQuery(**query), None, 10)

    assert list(page) == [stored[number] for number in expected]


async def test_pages_follow_one_another_without_what_ended(backend: Backend) -> None:
    stored = await several(backend)
    first = await backend.ledger.page(AllocationQuery(), None, 2)
    await end(backend, stored[1], NOW + 1)
    await end(backend, stored[2], NOW + 1)

    second = await backend.ledger.page(AllocationQuery(), first[-1].id, 2)
    last = await backend.ledger.page(AllocationQuery(), second[-1].id, 2)

    assert (ids(first), ids(second), ids(last)) == (ids(stored[:2]), ids([stored[4], stored[3]]), [])


async def test_a_list_ends_behind_an_allocation_that_is_not_known(backend: Backend) -> None:
    await several(backend)

    assert await backend.ledger.page(AllocationQuery(), 999, 10) == []
    assert await backend.ledger.history(HistoryQuery(), 999, 10) == []


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
        ({"address": ip_address("10.0.0.1")}, [3, 2, 0]),
        ({"address": ip_address("10.0.0.1"), "space": "lab"}, [4]),
        ({"address": ip_address("10.0.0.1"), "at": NOW - 1}, []),
        ({"address": ip_address("10.0.0.1"), "at": NOW}, [0]),
        ({"address": ip_address("10.0.0.1"), "at": NOW + 99}, [0]),
        ({"address": ip_address("10.0.0.1"), "at": NOW + 100}, []),
        ({"address": ip_address("10.0.0.1"), "at": NOW + 250}, [2]),
        ({"address": ip_address("10.0.0.1"), "at": NOW + 9999}, [3]),
        ({"address": ip_address("10.0.0.1"), "after": NOW + 50, "before": NOW + 200}, [2, 0]),
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
async def test_history_holds_what_matches_latest_first(
    backend: Backend, query: dict[str, Any], expected: list[int]
) -> None:
    stored = await past(backend)

    rows = await backend.ledger.history(HistoryQuery(**query), None, 10)

    assert list(rows) == [stored[number] for number in expected]


@pytest.mark.parametrize(
    "query",
    [{}, {"address": ip_address("10.0.0.1")}, {"node": "node-1"}, {"name": "web-0"}, {"namespace": "shop"}],
)
async def test_pages_of_history_put_together_are_all_of_it(backend: Backend, query: dict[str, Any]) -> None:
    await past(backend)
    whole = await backend.ledger.history(HistoryQuery(**query), None, 10)

    pages: list[Allocation] = []
    while page := await backend.ledger.history(HistoryQuery(**query), pages[-1].id if pages else None, 1):
        pages += page

    assert pages == list(whole)


async def test_history_is_in_the_order_of_time_also_when_the_clock_stepped_back(backend: Backend) -> None:
    [later] = await begin(backend, allocation("10.0.0.1", "c1", since=NOW + 100))
    [earlier] = await begin(backend, allocation("10.0.0.2", "c2", since=NOW))
    await end(backend, later, NOW + 200)

    rows = await backend.ledger.history(HistoryQuery(), None, 1)
    rest = await backend.ledger.history(HistoryQuery(), rows[0].id, 1)

    assert ids([*rows, *rest]) == ids([later, earlier])


async def test_both_holders_of_a_moment_are_told_when_the_clock_was_set_back(backend: Backend) -> None:
    [before] = await begin(backend, allocation("10.0.0.1", "c1", since=NOW + 100))
    before = await end(backend, before, NOW + 200)
    [after] = await begin(backend, allocation("10.0.0.1", "c2", since=NOW + 150))
    after = await end(backend, after, NOW + 170)

    query = HistoryQuery(address=ip_address("10.0.0.1"), at=NOW + 160)

    assert await backend.ledger.history(query, None, 10) == [after, before]


async def test_one_allocation_is_told_by_its_id_live_or_ended(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    assert stored.id is not None
    assert await backend.ledger.allocation(stored.id) == stored

    ended = await end(backend, stored, NOW + 1)

    assert await backend.ledger.allocation(stored.id) == ended
    assert await backend.ledger.allocation(stored.id + 1) is None


async def test_a_holders_allocations_come_by_position(backend: Backend) -> None:
    [second, first] = await begin(backend, allocation("10.0.0.1", position=1), allocation("10.0.0.2"))

    assert await backend.ledger.held_by(first.digest) == [first, second]
    assert await backend.ledger.held_by(digest_of("nobody")) == []


async def test_an_idempotency_key_tells_its_row_also_after_the_end(backend: Backend) -> None:
    key = Idempotency("token/key", b"hash")
    rows = [allocation("10.0.0.1", idempotency=key), allocation("fd00::1", position=1, idempotency=key)]
    [stored, _] = await begin(backend, *rows)

    ended = await end(backend, stored, NOW + 1)

    assert await backend.ledger.by_idempotency_key("token/key") == ended
    assert await backend.ledger.by_idempotency_key("token/other") is None


async def test_names_of_any_characters_come_back_as_they_were(backend: Backend) -> None:
    odd = Identity("default", "pods", "node-1", "c'1\"--;\u202e", "eth0")
    [stored] = await begin(backend, allocation(holder=odd, workload=Workload("%_", "' OR 1=1 --", None)))

    [found] = await backend.ledger.page(AllocationQuery(name="' OR 1=1 --"), None, 10)

    assert found == replace(allocation(holder=odd), id=stored.id, workload=stored.workload)
    assert await backend.ledger.page(AllocationQuery(namespace="%"), None, 10) == []
