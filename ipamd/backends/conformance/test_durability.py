"""What was committed is there when the database is opened again. Not for backends that do not last."""

from __future__ import annotations

import pytest

from ipamd.backends.conformance.everything import (
    change,
    everything,
    furnish,
    take_steps,
    unit_of_work,
)
from ipamd.backends.conformance.examples import PLAIN, allocation, begin, end, release, save, write
from ipamd.backends.conformance.harness import Harness
from ipamd.backends.interface import Backend, Changes, ConstraintViolated
from ipamd.models.catalogue import Snapshot
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio


async def test_everything_is_there_when_the_database_is_opened_again(harness: Harness, url: str) -> None:
    first = await harness.open(url)
    await furnish(first)
    await first.transact(lambda transaction: take_steps(unit_of_work(transaction), -1, lambda: None))
    await first.change(lambda catalogue: take_steps(change(catalogue), -1, lambda: None))
    before = await everything(first)
    await first.close()

    for _ in range(2):
        again = await harness.open(url)
        assert await everything(again) == before
        await again.close()


async def reopened(harness: Harness, url: str, backend: Backend) -> Backend:
    await backend.close()
    return await harness.open(url)


async def test_constraints_and_ids_hold_over_a_reopening(harness: Harness, url: str) -> None:
    backend = await harness.open(url)
    [stored, last] = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await end(backend, last)
    backend = await reopened(harness, url, backend)

    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.1", "c3"))
    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.3", "c1"))
    [new] = await begin(backend, allocation("10.0.0.2", "c2"))
    assert new.stored_id > last.stored_id
    assert await backend.ledger.page(AllocationQuery(), stored.id, 10) == [new]
    await backend.close()


async def test_nothing_of_a_unit_of_work_that_failed_comes_back(harness: Harness, url: str) -> None:
    backend = await harness.open(url)
    await furnish(backend)
    before = await everything(backend)
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(begun=[allocation("10.0.0.9", "c9"), allocation("10.0.0.9", "c8")]))
    backend = await reopened(harness, url, backend)

    assert await everything(backend) == before
    await backend.close()


async def test_what_changed_is_told_also_to_whom_knew_the_catalogue_before(
    harness: Harness, url: str
) -> None:
    backend = await harness.open(url)
    await save(backend, PLAIN)
    known = await backend.ledger.snapshot(Snapshot())
    await backend.change(lambda catalogue: take_steps(change(catalogue), -1, lambda: None))
    backend = await reopened(harness, url, backend)

    assert await backend.ledger.snapshot(known) == await backend.ledger.snapshot(Snapshot())
    await backend.close()


async def test_forgotten_releases_stay_forgotten(harness: Harness, url: str) -> None:
    backend = await harness.open(url)
    row = allocation()
    await write(backend, Changes(remembered=[release(row.digest, 1), release(row.digest, 2, undo=True)]))
    await backend.forget_releases(row.since)
    backend = await reopened(harness, url, backend)

    found = await backend.transact(lambda transaction: transaction.find([row.digest]))

    assert list(found.releases[row.digest]) == []
    await backend.close()
