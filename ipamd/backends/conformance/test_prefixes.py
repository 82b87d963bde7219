"""Prefixes: one row for many addresses, found by each of them, and never over what another holds."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    NOW,
    PLAIN,
    WAIT,
    allocation,
    begin,
    block,
    carve,
    end,
    firsts,
    save,
    write,
)
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    BlockOwner,
    BlocksWithFree,
    Changes,
    ConstraintViolated,
    LockPolicy,
)
from ipamd.models.allocation import NEVER_CAME, Allocation
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import owner_in
from ipamd.models.query import AllocationQuery, HistoryQuery

pytestmark = pytest.mark.asyncio

FIRST = 10 << 24


def prefix(address: str = "10.0.0.16", length: int = 28, name: str = "p1", **fields: object) -> Allocation:
    """A live allocation of a prefix."""
    return allocation(address, name, prefix_length=length, **fields)


async def holders(backend: Backend, address: str, space: str | None = None) -> list[str]:
    """Who has an address, by each way to ask for it."""
    value = ip_address(address)
    listed = await backend.ledger.page(AllocationQuery(address=value, space=space), None, 10)
    bounded = await backend.ledger.bounded_page(AllocationQuery(address=value, space=space), None, 10)
    held = await backend.change(lambda catalogue: catalogue.holder_of(space or "default", value))
    past = await backend.ledger.history(HistoryQuery(address=value, space=space or "default"), None, 10)
    names = [row.written for row in listed]
    assert names == [row.written for row in bounded.rows]
    assert names == [row.written for row in past if row.until is None]
    assert names[:1] == ([held.written] if held is not None else [])
    return names


@pytest.mark.parametrize(
    ("address", "length", "inside", "outside"),
    [
        ("10.0.0.16", 28, ["10.0.0.16", "10.0.0.17", "10.0.0.31"], ["10.0.0.15", "10.0.0.32", "::a00:11"]),
        ("10.0.0.64", 26, ["10.0.0.64", "10.0.0.100", "10.0.0.127"], ["10.0.0.63", "10.0.0.128"]),
        ("fd00::40", 123, ["fd00::40", "fd00::5f"], ["fd00::3f", "fd00::60"]),
    ],
)
async def test_a_prefix_is_found_by_each_of_its_addresses(
    backend: Backend, address: str, length: int, inside: list[str], outside: list[str]
) -> None:
    [stored] = await begin(backend, prefix(address, length))

    assert stored.prefix_length == length
    for each in inside:
        assert await holders(backend, each) == [f"{address}/{length}"]
        assert await holders(backend, each, "lab") == []
    for each in outside:
        assert await holders(backend, each) == []


async def test_history_of_an_address_has_what_it_was_alone_and_in_prefixes(backend: Backend) -> None:
    [single] = await begin(backend, allocation("10.0.0.20", "c1"))
    await end(backend, single)
    [wide] = await begin(backend, prefix("10.0.0.0", 27, since=NOW + 10))
    await end(backend, wide, until=NOW + 20)
    [narrow] = await begin(backend, prefix("10.0.0.16", 28, "p2", since=NOW + 30))
    query = HistoryQuery(address=ip_address("10.0.0.20"))

    rows = await backend.ledger.history(query, None, 10)
    first = await backend.ledger.history(query, None, 1)
    rest = await backend.ledger.history(query, first[-1].id, 10)
    then = await backend.ledger.bounded_history(
        HistoryQuery(address=ip_address("10.0.0.20"), at=NOW + 15), None, 10
    )

    assert [row.id for row in rows] == [narrow.id, wide.id, single.id]
    assert [row.id for row in (*first, *rest)] == [narrow.id, wide.id, single.id]
    assert [row.id for row in then.rows] == [wide.id]


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (allocation("10.0.0.16", "c1"), prefix()),
        (allocation("10.0.0.20", "c1"), prefix()),
        (allocation("10.0.0.31", "c1"), prefix()),
        (prefix(name="p0"), prefix()),
        (prefix("10.0.0.0", 27, "p0"), prefix()),
        (prefix("10.0.0.24", 29, "p0"), prefix()),
        (prefix(name="p0"), allocation("10.0.0.16", "c1")),
        (prefix("fd00::", 122, "p0"), prefix("fd00::20", 124)),
    ],
)
async def test_no_prefix_begins_over_what_is_held(
    backend: Backend, held: Allocation, wanted: Allocation
) -> None:
    await begin(backend, held)

    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(begun=[wanted]))
    assert [row.written for row in await backend.ledger.page(AllocationQuery(), None, 10)] == [held.written]


async def test_two_prefixes_in_one_write_do_not_overlap(backend: Backend) -> None:
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(begun=[prefix("10.0.0.0", 27), prefix("10.0.0.16", 28, "p2")]))


async def test_a_prefix_stands_beside_what_does_not_overlap_and_in_another_space(backend: Backend) -> None:
    others = [
        allocation("10.0.0.15", "c1"),
        allocation("10.0.0.32", "c2"),
        prefix("10.0.0.48", 28, "p2"),
        prefix(space="lab", name="p3"),
        allocation("::a00:11", "c3"),
    ]

    assert len(await begin(backend, *others, prefix())) == 6


async def test_a_prefix_may_begin_where_others_have_ended(backend: Backend) -> None:
    [single] = await begin(backend, allocation("10.0.0.20", "c1"))
    await end(backend, single)
    [first] = await begin(backend, prefix())
    await end(backend, first)

    await begin(backend, prefix("10.0.0.16", 29, "p2"))

    assert await holders(backend, "10.0.0.20") == ["10.0.0.16/29"]


async def test_the_owner_of_a_prefix_has_holders_beside_it(backend: Backend) -> None:
    machine = owner_in("default", "lab", "vm")
    owner = prefix(holder=machine, away_since=NEVER_CAME, name="-")

    await begin(backend, owner, prefix(slot=1, held_for="vm"))

    found = await backend.ledger.page(AllocationQuery(address=ip_address("10.0.0.20")), None, 10)
    assert [row.slot for row in found] == [0, 1]


async def test_a_record_says_of_each_address_when_a_prefix_around_it_ended(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(FIRST))
    [single] = await begin(backend, allocation("10.0.0.20", "c1"))
    await end(backend, single, until=NOW + 1)
    [ended] = await begin(backend, prefix(since=NOW + 5))
    await end(backend, ended, until=NOW + 9)
    [later] = await begin(backend, allocation("10.0.0.21", "c2", since=NOW + 20))
    await end(backend, later, until=NOW + 30)
    [live] = await begin(backend, prefix("10.0.0.32", 28, "p2"))

    record = await backend.transact(lambda transaction: transaction.record(PLAIN, FIRST), WAIT)

    expected = dict.fromkeys(range(FIRST + 16, FIRST + 32), NOW + 9) | {FIRST + 21: NOW + 30}
    assert record.ended == expected
    assert [row.id for row in record.live] == [live.id]


@pytest.mark.parametrize(
    ("subnet", "length", "address"),
    [
        ("2001:db8::/48", 64, "2001:db8:0:41::"),
        ("::/48", 64, "0:0:0:41::"),
        ("fd00::/64", 80, "fd00::41:0:0:0"),
        ("ffff::/16", 32, "ffff:ffff::"),
        ("10.0.0.0/8", 24, "10.255.255.0"),
        ("0.0.0.0/8", 16, "0.65.0.0"),
    ],
)
async def test_a_block_of_a_pool_of_prefixes_counts_prefixes_and_not_addresses(
    backend: Backend, subnet: str, length: int, address: str
) -> None:
    pool = replace(PLAIN, subnet=ip_network(subnet), prefix_length=length, block_length=length - 6)
    number = pool.number_of(ip_address(address))
    first = pool.block_of(number)
    await save(backend, pool)
    await carve(backend, block(first))
    snapshot = await backend.ledger.snapshot(Snapshot())
    assert replace(snapshot.pools["pods"], revision=0) == replace(pool, revision=0)

    [ended] = await begin(backend, prefix(address, length, "p1", block=first))
    await end(backend, ended, until=NOW + 9)
    [live] = await begin(backend, prefix(address, length, "p2", block=first, since=NOW + 10))

    assert (ended.block, live.block) == (first, first)
    record = await backend.transact(lambda transaction: transaction.record(pool, first), WAIT)
    assert ([row.id for row in record.live], record.ended) == ([live.id], {number: NOW + 9})
    assert await holders(backend, str(live.addresses.last)) == [f"{ip_address(address)}/{length}"]


async def test_prefixes_are_counted_by_pool_and_length(backend: Backend) -> None:
    assert await backend.ledger.prefixes() == {}
    [one] = await begin(backend, prefix("10.0.0.16", 28, "p1"))
    await begin(
        backend,
        prefix("10.0.0.32", 28, "p2"),
        prefix("10.0.0.64", 26, "p3"),
        prefix("fd00::40", 124, "p4", pool="six"),
        allocation("10.0.0.3", "c1"),
    )

    assert await backend.ledger.prefixes() == {"pods": {28: 2, 26: 1}, "six": {124: 1}}
    await end(backend, one)
    assert await backend.ledger.prefixes() == {"pods": {28: 1, 26: 1}, "six": {124: 1}}


@pytest.mark.parametrize("locks", [SKIP_LOCKS, WAIT])
@pytest.mark.parametrize("owner", [BlockOwner.ANY, BlockOwner.OWN, BlockOwner.NONE])
async def test_a_search_for_a_prefix_finds_blocks_with_enough_addresses_the_last_carved_first(
    backend: Backend, locks: LockPolicy, owner: BlockOwner
) -> None:
    node = HERE if owner is BlockOwner.OWN else None
    await carve(
        backend,
        block(FIRST, node=node, allocated=0),
        block(FIRST + 64, node=node, allocated=48),
        block(FIRST + 128, node=node, allocated=49),
        block(FIRST + 192, node=node, allocated=10, next_free_since=NOW - 5),
        block(FIRST + 256, node=node, allocated=10, next_free_since=NOW + 5),
        block(FIRST + 320, node=node, allocated=64, next_free_since=None),
    )
    looks = None if owner is BlockOwner.ANY else HERE

    async def found(limit: int, but_not: frozenset[int] = frozenset()) -> list[int]:
        search = BlocksWithFree("pods", owner, looks, NOW, limit, but_not, most_allocated=48)
        [locked] = await backend.transact(lambda transaction: transaction.lock([search]), locks)
        return firsts(locked.blocks)

    assert await found(5) == [FIRST + 64, FIRST, FIRST + 192]
    assert await found(1) == [FIRST + 64]
    assert await found(1, frozenset({FIRST + 64})) == [FIRST]
