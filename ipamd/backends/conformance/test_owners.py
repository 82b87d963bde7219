"""Owners whom workloads name: one for each address, up to two holders beside it, kept while they live."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    NOW,
    PLAIN,
    THERE,
    allocation,
    begin,
    block,
    carve,
    container,
    end,
    ending,
    save,
    write,
)
from ipamd.backends.interface import (
    Backend,
    Changes,
    ConstraintViolated,
    HeldAddress,
    OwnerChange,
    SetBack,
)
from ipamd.models.allocation import NEVER_CAME, Allocation, Workload
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import owner_in
from ipamd.models.pool import Affinity
from ipamd.models.query import AllocationQuery, HistoryQuery, OwnerQuery

pytestmark = pytest.mark.asyncio

VM: Final = owner_in("default", "team", "vm-1")
ADDRESS: Final = ip_address("10.0.0.1")


def owned(address: str = "10.0.0.1", name: str = "vm-1", **fields: Any) -> Allocation:
    """The address of an owner of the namespace `team`, which has a holder unless it is said to be away."""
    holder = owner_in("default", "team", name)
    return allocation(address, holder=holder, workload=Workload("team"), **fields)


def holder(name: str, slot: int, address: str = "10.0.0.1", **fields: Any) -> Allocation:
    """A container that holds the address of `vm-1`."""
    return allocation(address, name, slot=slot, held_for="vm-1", **fields)


async def test_an_owner_and_its_holders_are_read_as_they_were_written(backend: Backend) -> None:
    written = [owned(away_since=NOW), holder("c1", 1), holder("c2", 2)]

    stored = await begin(backend, *written)

    for before, after in zip(written, stored, strict=True):
        assert (after.holder, after.slot, after.held_for) == (before.holder, before.slot, before.held_for)
        assert after.away_since == before.away_since
    assert await backend.transact(lambda unit: unit.of_addresses([HeldAddress("default", ADDRESS)])) == stored
    assert list(await backend.ledger.page(AllocationQuery(), None, 10)) == stored
    for number in (0, 1):
        rest = await backend.ledger.page(AllocationQuery(), stored[number].id, 10)
        assert list(rest) == stored[number + 1 :]


async def test_addresses_of_several_spaces_are_read_at_once(backend: Backend) -> None:
    here, six = await begin(backend, owned(), allocation("fd00::1", "c6"))
    [lab] = await begin(backend, owned(name="vm-2", space="lab"))
    asked = [
        HeldAddress("lab", ADDRESS),
        HeldAddress("default", ADDRESS),
        HeldAddress("default", six.address),
    ]

    found = await backend.transact(lambda unit: unit.of_addresses([*asked, HeldAddress("x", ADDRESS)]))

    assert {row.stored_id for row in found} == {here.stored_id, six.stored_id, lab.stored_id}


@pytest.mark.parametrize("slot", [-1, 0, 1, 2, 3])
async def test_an_address_has_one_owner_and_no_third_holder(backend: Backend, slot: int) -> None:
    await begin(backend, owned(), holder("c1", 1), holder("c2", 2))

    with pytest.raises(ConstraintViolated):
        await begin(backend, holder("c3", slot))


async def test_a_slot_is_free_again_when_its_holder_has_ended(backend: Backend) -> None:
    [_, first] = await begin(backend, owned(), holder("c1", 1))
    await end(backend, first)

    await begin(backend, holder("c2", 1))

    [past] = [row for row in await backend.ledger.history(HistoryQuery(), None, 10) if row.until is not None]
    assert (past.slot, past.held_for) == (0, "vm-1")


async def test_an_owner_ends_only_while_it_is_away(backend: Backend) -> None:
    [stored] = await begin(backend, owned())
    with pytest.raises(ConstraintViolated):
        await end(backend, stored)

    away = OwnerChange(stored.stored_id, NOW, 2)
    await write(backend, Changes(owners=[away], ended=[ending(stored)]))

    assert not await backend.ledger.page(AllocationQuery(), None, 10)
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(owners=[away]))


async def test_what_becomes_of_an_owner_is_kept(backend: Backend) -> None:
    [stored] = await begin(backend, owned(away_since=NEVER_CAME))
    for since in (None, NOW + 7):
        await write(backend, Changes(owners=[OwnerChange(stored.stored_id, since, 5)]))
        [row] = await backend.ledger.held_by(VM.digest)
        assert (row.away_since, row.generation) == (since, 5)

    await write(backend, Changes(set_back=[SetBack(stored.stored_id, NOW, NOW + 1)]))

    [row] = await backend.ledger.held_by(VM.digest)
    assert (row.since, row.away_since) == (NOW, NOW + 1)


async def test_those_who_are_away_for_long_enough_are_found_by_pool(backend: Backend) -> None:
    moments = {"never": NEVER_CAME, "held": None, "long": NOW - 20, "short": NOW - 5}
    for number, (name, since) in enumerate(moments.items()):
        await begin(backend, owned(f"10.0.0.{number}", name, away_since=since))
    await begin(backend, owned("10.0.0.9", "elsewhere", pool="other", away_since=NOW - 20))
    [gone] = await begin(backend, owned("10.0.0.8", "gone", away_since=NOW - 20))
    await end(backend, gone)

    async def away(**before: int) -> list[str]:
        found = await backend.ledger.owners_away(before, 10)
        return sorted(row.owner_name or "" for row in found)

    assert await away(pods=NOW - 10) == ["long"]
    assert await away(pods=NOW - 5, other=NOW - 30) == ["long", "short"]
    assert await away(pods=NOW - 30, other=NOW) == ["elsewhere"]
    assert await away() == []
    assert len(await backend.ledger.owners_away({"pods": NOW, "other": NOW}, 2)) == 2


async def test_addresses_that_owners_have_and_nobody_holds_are_counted_by_pool(backend: Backend) -> None:
    assert await backend.ledger.away() == {}
    await begin(
        backend,
        owned("10.0.0.1", "long", away_since=NOW),
        owned("10.0.0.2", "never", away_since=NEVER_CAME),
        owned("10.0.0.3", "here"),
        holder("c1", 1, address="10.0.0.3"),
        owned("10.1.0.1", "elsewhere", away_since=NOW, pool="other"),
        allocation("10.0.0.9", "c9"),
    )
    [gone] = await begin(backend, owned("10.0.0.4", "gone", away_since=NOW))
    await end(backend, gone)

    assert await backend.ledger.away() == {"pods": 2, "other": 1}
    assert await backend.ledger.away("pods") == {"pods": 2}
    assert await backend.ledger.away("none") == {}


async def test_the_history_of_an_owner_has_its_holders(backend: Backend) -> None:
    [owner, first] = await begin(backend, owned(), holder("c1", 1, since=NOW + 1))
    await end(backend, first, NOW + 2)
    [second] = await begin(backend, holder("c2", 1, since=NOW + 3))
    await begin(backend, allocation("10.0.0.7", "c7"))

    found = await backend.ledger.history(HistoryQuery(owner="vm-1"), None, 10)

    assert [row.stored_id for row in found] == [second.stored_id, first.stored_id, owner.stored_id]
    assert not await backend.ledger.history(HistoryQuery(owner="vm-1", namespace="other"), None, 10)
    assert not await backend.ledger.history(HistoryQuery(owner="vm-2"), None, 10)


async def test_owners_are_listed_by_name_page_by_page(backend: Backend) -> None:
    named = [("b", "10.0.0.1"), ("a", "10.0.0.2"), ("c", "10.0.0.3")]
    for name, address in named:
        await begin(backend, owned(address, name))
    await begin(backend, owned("10.0.0.4", "a", position=1), allocation("10.0.0.9", "c9"))
    [gone] = await begin(backend, owned("10.0.0.5", "b2", away_since=NOW))

    async def listed(query: OwnerQuery, after: int | None = None, limit: int = 10) -> list[str]:
        found = await backend.ledger.owners(query, after, limit)
        return [f"{row.owner_name} {row.address}" for row in found]

    every = ["a 10.0.0.2", "a 10.0.0.4", "b 10.0.0.1", "b2 10.0.0.5", "c 10.0.0.3"]
    assert await listed(OwnerQuery()) == every
    assert await listed(OwnerQuery(), limit=2) == every[:2]
    await end(backend, gone)
    assert await listed(OwnerQuery(), gone.id) == every[4:]
    assert await listed(OwnerQuery(name="a", namespace="team", cluster="default")) == every[:2]
    assert await listed(OwnerQuery(namespace="other")) == await listed(OwnerQuery(cluster="east")) == []


async def test_who_has_some_addresses_is_read_without_a_unit_of_work(backend: Backend) -> None:
    stored = await begin(backend, owned(), holder("c1", 1), owned("10.0.0.2", "vm-2"))
    asked = [HeldAddress("default", ip_address(f"10.0.0.{number}")) for number in (1, 2, 3)]

    assert list(await backend.ledger.of_addresses(asked)) == stored
    assert not await backend.ledger.of_addresses([])


async def test_a_list_by_cluster_has_owners(backend: Backend) -> None:
    [owner] = await begin(backend, owned())

    assert list(await backend.ledger.page(AllocationQuery(cluster="default"), None, 10)) == [owner]
    assert not await backend.ledger.page(AllocationQuery(cluster="east"), None, 10)


async def test_a_block_counts_the_owner_and_not_its_holders(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(int(ADDRESS) & -64))
    [owner, first] = await begin(backend, owned(), holder("c1", 1, since=NOW + 1))

    record = await backend.transact(lambda unit: unit.record(PLAIN, owner.block))
    assert [row.stored_id for row in record.live] == [owner.stored_id]

    await end(backend, first, NOW + 2)
    away = [OwnerChange(owner.stored_id, NOW + 2, 1)]
    await write(backend, Changes(owners=away, ended=[ending(owner, NOW + 9)]))
    record = await backend.transact(lambda unit: unit.record(PLAIN, owner.block))
    assert (list(record.live), record.ended) == ([], {int(ADDRESS): NOW + 9})


async def test_of_two_holders_that_borrow_an_address_the_younger_is_announced(backend: Backend) -> None:
    await save(backend, replace(PLAIN, affinity=Affinity.NODE))
    [_, _, second] = await begin(
        backend,
        owned(),
        holder("c1", 1, borrowed=True),
        holder("c2", 2, borrowed=True, holder=container("c2", node=THERE.name)),
    )

    async def announced() -> list[str]:
        network = await backend.ledger.pod_network("default", Snapshot(), None)
        return [single.node for single in network.singles]

    assert await announced() == [THERE.name]
    await end(backend, second)
    assert await announced() == [HERE.name]
    await begin(backend, holder("c3", 2, holder=container("c3", node=THERE.name)))
    assert await announced() == []  # its own block leads there


async def test_endings_of_holders_come_with_the_change_of_their_owner(backend: Backend) -> None:
    [owner, first] = await begin(backend, owned(), holder("c1", 1))

    await write(backend, Changes(owners=[OwnerChange(owner.stored_id, NOW + 1, 1)], ended=[ending(first)]))

    [left] = await backend.ledger.page(AllocationQuery(), None, 10)
    assert (left.holder, left.away_since, left.ending) == (VM, NOW + 1, None)
