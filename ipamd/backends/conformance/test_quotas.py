"""Quotas: what they count is written with the rows, and counted anew from the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from ipamd.backends.conformance.examples import WAIT, allocation, begin, end, remove, save, write
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    CatalogueChange,
    Changes,
    LockPolicy,
    TallyChange,
    TallyMoved,
    Transaction,
)
from ipamd.models.allocation import Workload
from ipamd.models.catalogue import Snapshot
from ipamd.models.quota import Quota, Tally, TallyUse

pytestmark = pytest.mark.asyncio

STATED: Final = Quota(
    name="teams",
    limit=5,
    namespaces=("team-*", "shop"),
    clusters=("default",),
    family=4,
    pool="pods",
    space=None,
    shared=False,
    counting=True,
)
A: Final = Tally("teams", 4, "default", "team-a")
B: Final = Tally("teams", 4, "default", "team-b")


async def tallies(
    backend: Backend, *wanted: Tally, counting: Sequence[str] = (), policy: LockPolicy = SKIP_LOCKS
) -> dict[Tally, int]:
    """What tallies count. While nothing else is under way nobody is passed over."""
    found = await backend.transact(lambda transaction: transaction.tallies(wanted, counting), policy)
    assert not found.busy
    return dict(found.used)


async def move(backend: Backend, by: Mapping[Tally, int]) -> None:
    """Change what tallies count, whatever it is."""
    await write(backend, Changes(tallies={tally: TallyChange(more) for tally, more in by.items()}))


async def count(backend: Backend, *quotas: Quota) -> None:
    """One change that counts quotas anew."""

    async def change(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        await catalogue.count(quotas)

    await backend.change(change)


async def live(backend: Backend, quota: Quota) -> dict[Tally, int]:
    """What live allocations say of a quota."""
    return dict((await backend.audit.tallies(quota))[1])


def of(namespace: str | None, address: str, **fields: Any) -> Any:
    """An allocation of a workload in a namespace, of a container of its own."""
    return allocation(address, f"c-{address}", workload=Workload(namespace, "web"), **fields)


async def test_every_field_of_a_quota_comes_back(backend: Backend) -> None:
    other = Quota(name="all", limit=0, namespaces=("*",), space="lab", shared=True, counting=False)
    revision = await save(backend, STATED, other)

    snapshot = await backend.ledger.snapshot(Snapshot())

    assert snapshot.quotas == {
        "teams": replace(STATED, revision=revision),
        "all": replace(other, revision=revision),
    }


async def test_what_changed_of_quotas_is_read_after_what_is_known(backend: Backend) -> None:
    await save(backend, STATED, replace(STATED, name="gone"))
    known = await backend.ledger.snapshot(Snapshot())
    await remove(backend, replace(STATED, name="gone"))
    await save(backend, replace(STATED, limit=7))

    now = await backend.ledger.snapshot(known)

    assert {name: quota.limit for name, quota in now.quotas.items()} == {"teams": 7}
    assert now == await backend.ledger.snapshot(Snapshot())


async def test_tallies_are_what_was_written_last(backend: Backend) -> None:
    await move(backend, {A: 2, B: 1})
    await move(backend, {A: 1, B: -1})

    assert await tallies(backend, A, B) == {A: 3, B: 0}
    assert await tallies(backend, B, A, policy=WAIT) == {A: 3, B: 0}


async def test_a_unit_of_work_that_fails_leaves_tallies_as_they_were(backend: Backend) -> None:
    await move(backend, {A: 2})

    async def fail(transaction: Transaction) -> None:
        await transaction.write(Changes(tallies={A: TallyChange(7), B: TallyChange(9)}))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await backend.transact(fail)
    assert await tallies(backend, A, B) == {A: 2, B: 0}


async def test_the_fullest_tallies_come_first(backend: Backend) -> None:
    other = Tally("other", 6, "", "")
    await move(backend, {A: 2, B: 5, other: 1})

    assert list(await backend.ledger.tallies("teams", 9)) == [TallyUse(B, 5), TallyUse(A, 2)]
    assert list(await backend.ledger.tallies("teams", 1)) == [TallyUse(B, 5)]
    assert list(await backend.ledger.tallies("none", 9)) == []
    assert dict(await backend.ledger.most_used()) == {"teams": 5, "other": 1}
    assert dict(await backend.ledger.used([A, replace_family(A)])) == {A: 2, replace_family(A): 0}


def replace_family(tally: Tally) -> Tally:
    return tally._replace(family=6)


async def test_counting_finds_the_live_rows_that_match(backend: Backend) -> None:
    rows = await begin(
        backend,
        of("team-a", "10.0.0.1"),
        of("team-a", "10.0.0.2"),
        of("team-b", "10.0.0.3"),
        of("shop", "10.0.0.4"),
        of("shopping", "10.0.0.5"),
        of(None, "10.0.0.6"),
        of("team-a", "10.0.0.7", pool="other"),
        of("team-a", "fd00::1"),
        of("team-a", "10.0.0.8"),
    )
    await end(backend, rows[-1])
    shop = Tally("teams", 4, "default", "shop")

    assert await live(backend, STATED) == {A: 2, B: 1, shop: 1}
    assert await live(backend, replace(STATED, clusters=("west",))) == {}
    assert await live(backend, replace(STATED, pool=None)) == {A: 3, B: 1, shop: 1}
    assert await live(backend, replace(STATED, pool=None, space="lab")) == {}
    every = replace(STATED, namespaces=("*", "shop"), family=None, pool=None, shared=True)
    assert await live(backend, every) == {Tally("teams", 4, "", ""): 6, Tally("teams", 6, "", ""): 1}


async def test_a_quota_is_counted_from_the_rows_whatever_was_written_of_it(backend: Backend) -> None:
    await save(backend, STATED)
    other = Tally("other", 4, "default", "team-b")
    await move(backend, {A: 9, B: 9, other: 4})
    await begin(backend, of("team-a", "10.0.0.1"))

    await count(backend, STATED)

    assert await tallies(backend, A, B, other) == {A: 1, B: 0, other: 4}
    assert await backend.audit.tallies(STATED) == ({A: 1}, {A: 1})


async def test_a_quota_that_goes_takes_its_tallies_along(backend: Backend) -> None:
    await save(backend, STATED)
    other = Tally("other", 4, "default", "team-b")
    await move(backend, {A: 9, other: 4})

    await remove(backend, STATED)

    assert await tallies(backend, A, other) == {A: 0, other: 4}


async def test_a_tally_is_not_raised_beyond_what_its_change_allows(backend: Backend) -> None:
    await move(backend, {A: 2})

    with pytest.raises(TallyMoved):
        await write(backend, Changes(tallies={A: TallyChange(1, 1), B: TallyChange(1)}))
    with pytest.raises(TallyMoved):
        await write(backend, Changes(begun=[of("team-a", "10.0.0.1")], tallies={A: TallyChange(1, 0)}))
    await write(backend, Changes(tallies={A: TallyChange(1, 2), B: TallyChange(1, 0)}))

    assert await tallies(backend, A, B) == {A: 3, B: 1}
    assert await live(backend, STATED) == {}


async def test_of_many_that_count_at_once_none_is_lost_and_none_passes_the_limit(
    backend: Backend, replica: Backend
) -> None:
    limit, other = 10, Tally("teams", 4, "default", "team-c")

    async def one_more(each: Backend) -> bool:
        async def work(transaction: Transaction) -> bool:
            used = (await transaction.tallies([A, other], [])).used[A]
            if used >= limit:
                return False
            changes = {A: TallyChange(1, limit - 1), other: TallyChange(1)}
            await transaction.write(Changes(tallies=changes))
            return True

        while True:
            try:
                return await each.transact(work)
            except TallyMoved:
                pass  # others have taken the last ones

    given = await asyncio.gather(*(one_more((backend, replica)[turn % 2]) for turn in range(24)))

    assert sum(given) == limit
    assert await tallies(backend, A, other) == {A: limit, other: limit}


async def test_who_counts_waits_for_those_that_took_the_quota_as_counting(
    backend: Backend, replica: Backend
) -> None:
    """Each of those begins a row and writes no tally: the change counts it, or it sees the change."""
    before = await save(backend, STATED)
    later: list[str] = []

    async def work(transaction: Transaction, address: str) -> None:
        found = await transaction.tallies([], ["teams"])
        if found.busy or await transaction.revision() != before:
            later.append(address)
            return
        await transaction.write(Changes(begun=[of("team-a", address)]))

    async def unit(turn: int) -> None:
        await asyncio.sleep(turn * 0.001)
        each = (backend, replica)[turn % 2]
        policy = (SKIP_LOCKS, WAIT)[turn % 3 == 0]
        await each.transact(lambda transaction: work(transaction, f"10.0.0.{turn + 1}"), policy)

    async def counting() -> None:
        await asyncio.sleep(0.008)
        await count(backend, STATED)

    await asyncio.gather(counting(), *(unit(turn) for turn in range(16)))

    assert await tallies(backend, A) == {A: 16 - len(later)}


async def test_a_mark_has_passed_when_what_began_before_has_ended(backend: Backend, replica: Backend) -> None:
    mark = await backend.mark()

    assert await replica.has_passed(mark)
    assert await replica.mark() >= mark
