"""Holds: what they have is found without others' waiting, and counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import (
    PLAIN,
    WAIT,
    allocation,
    begin,
    block,
    carve,
    end,
    remove,
    save,
)
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    BlockId,
    Changes,
    Ended,
    HoldPosition,
    HoldSearch,
    LockedRows,
    LockPolicy,
    Transaction,
)
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.block import HELD
from ipamd.models.catalogue import Snapshot
from ipamd.models.hold import Hold, HoldState, HoldUse, position_of
from ipamd.models.query import AllocationQuery, HistoryQuery

pytestmark = pytest.mark.asyncio

STATED: Final = Hold(
    name="evening",
    size=3,
    pool="pods",
    namespaces=("team-*", "shop"),
    workloads=("db-*",),
    clusters=("default",),
    since=1_700_000_000_000_000,
    seconds=7200,
    state=HoldState.FILLING,
)
OTHER: Final = replace(STATED, name="morning", workloads=(), clusters=(), state=HoldState.ENDING)


def left(address: str, hold: Hold = STATED, free_since: int = 0) -> Allocation:
    """An address that a hold has, and no workload."""
    value = ip_address(address)
    return allocation(
        address, holder=hold.owner, position=position_of(value), free_since=free_since, hold=hold.name
    )


def taken(row: Allocation, container_id: str) -> Changes:
    """A container takes what a hold has."""
    begun = allocation(str(row.address), container_id, workload=Workload("shop", "db-1"), hold=row.hold)
    return Changes(ended=[Ended(row.stored_id, row.since + 1, Ending.TAKEN)], begun=[begun])


def some(limit: int, free_before: int = HELD, hold: Hold = STATED) -> HoldSearch:
    return HoldSearch(hold.owner.digest, free_before, limit)


def at(address: str, hold: Hold = STATED) -> HoldPosition:
    return HoldPosition(hold.owner.digest, position_of(ip_address(address)))


async def found(backend: Backend, *searches: HoldSearch | HoldPosition) -> list[list[str]]:
    """The addresses that searches find. While nothing else is under way the lock policy changes nothing."""

    async def search(policy: LockPolicy) -> list[LockedRows]:
        return list(await backend.transact(lambda transaction: transaction.of_holds(searches), policy))

    skipping = await search(SKIP_LOCKS)
    assert skipping == await search(WAIT)
    assert not any(one.passed_over for one in skipping)
    return [[str(row.address) for row in one.rows] for one in skipping]


async def test_every_field_of_a_hold_comes_back(backend: Backend) -> None:
    revision = await save(backend, STATED, OTHER)

    snapshot = await backend.ledger.snapshot(Snapshot())

    assert snapshot.holds == {
        "evening": replace(STATED, revision=revision),
        "morning": replace(OTHER, revision=revision),
    }


async def test_what_changed_of_holds_is_read_after_what_is_known(backend: Backend) -> None:
    await save(backend, STATED, OTHER)
    known = await backend.ledger.snapshot(Snapshot())
    await remove(backend, OTHER)
    await save(backend, replace(STATED, state=HoldState.STANDING))

    now = await backend.ledger.snapshot(known)

    assert {name: hold.state for name, hold in now.holds.items()} == {"evening": HoldState.STANDING}
    assert now == await backend.ledger.snapshot(Snapshot())


async def test_what_a_hold_has_is_found_in_the_order_of_positions(backend: Backend) -> None:
    rows = await begin(
        backend,
        left("10.0.0.9", free_since=5),
        left("10.0.0.3", free_since=7),
        left("10.0.0.4"),
        left("10.0.0.2", OTHER),
        allocation("10.0.0.5"),
    )

    assert await found(backend, some(9), some(2), some(9, 6), some(1, 0)) == [
        ["10.0.0.3", "10.0.0.4", "10.0.0.9"],
        ["10.0.0.3", "10.0.0.4"],
        ["10.0.0.4", "10.0.0.9"],
        ["10.0.0.4"],
    ]
    assert await found(backend, at("10.0.0.9"), at("10.0.0.2"), some(3, hold=OTHER)) == [
        ["10.0.0.9"],
        [],
        ["10.0.0.2"],
    ]
    [row] = await backend.transact(lambda transaction: transaction.of_holds([at("10.0.0.9")]))
    assert row.rows == [rows[0]]


async def test_what_a_hold_has_and_what_is_taken_of_it_is_counted(backend: Backend) -> None:
    first, second, _ = await begin(backend, left("10.0.0.3"), left("10.0.0.4"), left("10.0.0.5", OTHER))
    await backend.transact(lambda transaction: transaction.write(taken(first, "c1")))

    uses = await backend.ledger.hold_uses(["evening", "morning", "none"])

    assert uses == {"evening": HoldUse(1, 1), "morning": HoldUse(1, 0)}
    assert await backend.ledger.hold_uses(None) == uses
    assert await backend.ledger.hold_uses([]) == {}
    assert await found(backend, some(9)) == [["10.0.0.4"]]
    [row] = await backend.ledger.page(AllocationQuery(address=first.address, space="default"), None, 9)
    assert (row.hold, row.is_left, row.free_since) == ("evening", False, None)
    past = await backend.ledger.history(HistoryQuery(address=first.address, space="default"), None, 9)
    assert [(each.is_left, each.ending) for each in past] == [(False, None), (True, Ending.TAKEN)]
    of_hold = await backend.ledger.history(HistoryQuery(owner="hold:evening"), None, 9)
    assert {each.stored_id for each in of_hold} == {first.stored_id, second.stored_id}
    await end(backend, row)
    assert await backend.ledger.hold_uses(["evening"]) == {"evening": HoldUse(1, 0)}


async def test_a_hold_that_goes_leaves_to_workloads_what_they_took(backend: Backend) -> None:
    await save(backend, STATED, OTHER)
    first, second = await begin(backend, left("10.0.0.3"), left("10.0.0.5", OTHER))
    await backend.transact(lambda transaction: transaction.write(taken(first, "c1")))
    await backend.transact(lambda transaction: transaction.write(taken(second, "c2")))
    await begin(backend, left("10.0.0.4"))

    await remove(backend, STATED)

    assert await backend.ledger.hold_uses(None) == {"evening": HoldUse(1, 0), "morning": HoldUse(0, 1)}
    page = await backend.ledger.page(AllocationQuery(), None, 9)
    assert [(str(row.address), row.hold) for row in page] == [
        ("10.0.0.3", None),
        ("10.0.0.4", "evening"),
        ("10.0.0.5", "morning"),
    ]


async def test_a_holder_beside_an_owner_is_not_counted_twice(backend: Backend) -> None:
    await begin(
        backend,
        allocation("10.0.0.3", "c1", hold="evening"),
        allocation("10.0.0.3", "c2", slot=1, held_for="vm", hold="evening"),
    )

    assert await backend.ledger.hold_uses(["evening"]) == {"evening": HoldUse(0, 1)}


async def test_an_address_that_was_taken_was_not_given_back(backend: Backend) -> None:
    first = int(ip_address("10.0.0.0"))
    await save(backend, PLAIN)
    await carve(backend, block(first))
    [row] = await begin(backend, left("10.0.0.3"))
    await backend.transact(lambda transaction: transaction.write(taken(row, "c1")))

    async def record(transaction: Transaction) -> Any:
        await transaction.lock([BlockId("pods", first)])
        return await transaction.record(PLAIN, first)

    assert dict((await backend.transact(record)).ended) == {}
    [live] = (await backend.transact(record)).live
    over = await end(backend, live)
    assert dict((await backend.transact(record)).ended) == {int(over.address): over.until}


async def test_many_who_take_at_once_get_an_address_each(backend: Backend, replica: Backend) -> None:
    rows = [left(f"10.0.0.{number}") for number in range(1, 21)]
    await begin(backend, *rows)

    async def take(turn: int) -> str | None:
        each = (backend, replica)[turn % 2]

        async def work(transaction: Transaction) -> str | None:
            await transaction.find([allocation("10.0.0.1", f"c{turn}").digest])
            [answer] = await transaction.of_holds([some(1)])
            if not answer.rows:
                return "again" if answer.passed_over else None
            await transaction.write(taken(answer.rows[0], f"c{turn}"))
            return str(answer.rows[0].address)

        policy: LockPolicy = SKIP_LOCKS
        while (got := await each.transact(work, policy)) == "again":
            policy = WAIT
        return got

    got = await asyncio.gather(*(take(turn) for turn in range(30)))

    given = [one for one in got if one is not None]
    assert sorted(given) == sorted(str(row.address) for row in rows)
    assert await backend.ledger.hold_uses(["evening"]) == {"evening": HoldUse(0, 20)}


async def test_who_goes_back_to_a_hold_is_found_there(backend: Backend) -> None:
    [row] = await begin(backend, left("10.0.0.3"))
    await backend.transact(lambda transaction: transaction.write(taken(row, "c1")))
    [live] = await backend.ledger.page(AllocationQuery(address=row.address, space="default"), None, 9)
    back = structs.replace(left("10.0.0.3", free_since=row.since + 9), since=row.since + 9)

    await backend.transact(
        lambda transaction: transaction.write(
            Changes(ended=[Ended(live.stored_id, row.since + 9, Ending.RELEASED)], begun=[back])
        )
    )

    assert await found(backend, some(1), some(1, row.since)) == [["10.0.0.3"], []]
    [again] = await backend.transact(lambda transaction: transaction.of_holds([some(1)]))
    dropped = Changes(dropped=[again.rows[0].stored_id])
    await backend.transact(lambda transaction: transaction.write(dropped))
    assert await found(backend, some(1)) == [[]]
