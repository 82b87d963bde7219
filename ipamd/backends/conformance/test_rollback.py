"""A unit of work happens whole or not at all, wherever it ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from ipamd.backends.conformance.everything import (
    CHANGE_STEPS,
    UNIT_STEPS,
    change,
    everything,
    furnish,
    take_steps,
    unit_of_work,
)
from ipamd.backends.conformance.examples import NOW, WAIT, allocation, begin, block, carve, lock, write
from ipamd.backends.interface import (
    Backend,
    BlockId,
    CatalogueChange,
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    Transaction,
    Undone,
)
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio


class Interrupted(Exception):
    """What the tests end a unit of work with."""


def interrupt() -> None:
    raise Interrupted


def nothing() -> None:
    return None


async def test_a_unit_of_work_and_a_change_go_through_all_their_steps(backend: Backend) -> None:
    await furnish(backend)
    before = await everything(backend)

    steps = await backend.transact(lambda transaction: take_steps(unit_of_work(transaction), -1, nothing))
    between = await everything(backend)
    changes = await backend.change(lambda catalogue: take_steps(change(catalogue), -1, nothing))
    after = await everything(backend)

    assert (steps, changes) == (UNIT_STEPS, CHANGE_STEPS)
    assert before != between != after


@pytest.mark.parametrize("step", range(UNIT_STEPS))
async def test_nothing_of_a_unit_of_work_that_raises_stays(backend: Backend, step: int) -> None:
    await furnish(backend)
    before = await everything(backend)

    with pytest.raises(Interrupted):
        await backend.transact(lambda transaction: take_steps(unit_of_work(transaction), step, interrupt))

    assert await everything(backend) == before


@pytest.mark.parametrize("step", range(CHANGE_STEPS))
async def test_nothing_of_a_change_that_raises_stays(backend: Backend, step: int) -> None:
    await furnish(backend)
    before = await everything(backend)

    with pytest.raises(Interrupted):
        await backend.change(lambda catalogue: take_steps(change(catalogue), step, interrupt))

    assert await everything(backend) == before


async def test_a_dry_run_answers_and_leaves_nothing(backend: Backend) -> None:
    await furnish(backend)
    before = await everything(backend)

    async def dry_unit_of_work(transaction: Transaction) -> int | Undone[int]:
        return Undone(await take_steps(unit_of_work(transaction), -1, nothing))

    async def dry_change(catalogue: CatalogueChange) -> int | Undone[int]:
        return Undone(await take_steps(change(catalogue), -1, nothing))

    answers = (
        await backend.transact(dry_unit_of_work),
        await backend.transact(dry_unit_of_work, WAIT),
        await backend.change(dry_change),
    )

    assert answers == (UNIT_STEPS, UNIT_STEPS, CHANGE_STEPS)
    assert await everything(backend) == before


VIOLATIONS: dict[str, Changes] = {
    "an address that is held": Changes(begun=[allocation("10.0.0.9", "c9"), allocation("10.0.0.2", "c4")]),
    "a position that is taken": Changes(begun=[allocation("10.0.0.9", "c9"), allocation("10.0.0.8", "c2")]),
    "a block that does not exist": Changes(begun=[allocation("10.0.0.9", "c9")], blocks=[block(640)]),
}


@pytest.mark.parametrize("why", VIOLATIONS)
async def test_nothing_of_a_unit_of_work_that_violates_a_constraint_stays(backend: Backend, why: str) -> None:
    await furnish(backend)
    before = await everything(backend)

    async def violate(transaction: Transaction) -> None:
        await take_steps(unit_of_work(transaction), -1, nothing)
        await transaction.write(VIOLATIONS[why])

    with pytest.raises(ConstraintViolated):
        await backend.transact(violate)

    assert await everything(backend) == before


async def test_nothing_that_was_decided_by_a_catalogue_that_has_moved_stays(backend: Backend) -> None:
    await furnish(backend)
    before = await everything(backend)
    wanted = Changes(begun=[allocation("10.0.0.9", "c9")])

    async def by(revision: int, transaction: Transaction) -> None:
        await take_steps(unit_of_work(transaction), -1, nothing)
        await transaction.write(replace(wanted, decided_at=revision))

    now = await backend.transact(lambda transaction: transaction.revision())
    for other in (now - 1, now + 1):
        with pytest.raises(CatalogueMoved):
            await backend.transact(partial(by, other))

    assert await everything(backend) == before
    await backend.transact(partial(by, now))
    assert await everything(backend) != before


async def test_changes_that_begin_nothing_are_not_written_either_by_a_catalogue_that_has_moved(
    backend: Backend,
) -> None:
    await carve(backend, block(0))
    of_none = Changes(decided_at=1)
    of_a_block = Changes(blocks=[replace(block(0), last_freed=NOW)], decided_at=1)

    for changes in (of_none, of_a_block):
        with pytest.raises(CatalogueMoved):
            await write(backend, changes)

    assert await lock(backend, BlockId("pods", 0)) == [[block(0)]]


async def test_what_a_unit_of_work_raises_comes_to_its_caller_as_it_is(backend: Backend) -> None:
    raised = LookupError("as it is")

    async def fail(transaction: Transaction) -> None:
        await transaction.revision()
        raise raised

    with pytest.raises(LookupError) as caught:
        await backend.transact(fail)

    assert caught.value is raised


async def test_a_unit_of_work_answers_with_its_value(backend: Backend) -> None:
    async def seven(transaction: Transaction) -> int:
        return 7 + await transaction.revision()

    assert await backend.transact(seven) == 7


async def test_after_one_that_failed_the_next_is_served(backend: Backend) -> None:
    async def fail(transaction: Transaction) -> None:
        await transaction.write(Changes(begun=[allocation()]))
        raise Interrupted

    for _ in range(20):
        with pytest.raises(Interrupted):
            await backend.transact(fail)

    [stored] = await begin(backend, allocation())
    assert await backend.ledger.page(AllocationQuery(), None, 10) == [stored]


async def test_a_unit_of_work_that_waits_for_something_else_is_refused_and_undone(backend: Backend) -> None:
    async def waits(transaction: Transaction) -> None:
        await transaction.carve("pods", [block(0)], None)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="wait"):
        await backend.transact(waits)

    assert await lock(backend, BlockId("pods", 0)) == [[]]


async def test_what_was_read_can_be_changed_without_changing_what_is_kept(backend: Backend) -> None:
    await carve(backend, block(0))

    async def scribble(transaction: Transaction) -> None:
        [locked] = await transaction.lock([BlockId("pods", 0)])
        locked.blocks[0].free_since[0] = 7

    await backend.transact(scribble)
    for read in await backend.ledger.blocks("pods", NOW, (0, 63)):
        read.free_since[1] = 7

    assert await lock(backend, BlockId("pods", 0)) == [[block(0)]]


async def test_what_was_written_can_be_changed_without_changing_what_is_kept(backend: Backend) -> None:
    mine = block(0)
    await carve(backend, mine)
    mine.free_since[0] = 7
    await write(backend, Changes(blocks=[mine]))
    mine.free_since[1] = 7

    [[kept]] = await lock(backend, BlockId("pods", 0))

    assert kept.free_since[:3].tolist() == [7, 0, 0]


@pytest.mark.parametrize("rounds", [0, 1, 5])
async def test_a_caller_that_goes_away_leaves_its_unit_of_work_whole_or_undone(
    backend: Backend, rounds: int
) -> None:
    async def pair(transaction: Transaction) -> None:
        await transaction.write(Changes(begun=[allocation("10.0.0.1", "c1")]))
        await transaction.write(Changes(begun=[allocation("fd00::1", "c1", position=1)]))

    caller = asyncio.ensure_future(backend.transact(pair))
    for _ in range(rounds):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    [after] = await begin(backend, allocation("10.0.0.2", "c2"))  # a writer behind it
    rows = await backend.ledger.page(AllocationQuery(), None, 10)
    assert len(rows) in (1, 3)
    assert after in rows
