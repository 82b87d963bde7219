"""Several units of work at once, from one process and from two.

A backend may run them one after another, or beside each other with locks; then those that skip locks are
told what they missed, and those with it wait. Either way no update is lost, nothing is read that is no longer
so, and nobody sees half of what another does.

A unit of work may wait for its own transaction only, so that one which has to go on until another has acted
asks its transaction again and again (`linger`), within a bound: if they run one after another, the other
acts before or after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import pytest

from ipamd.backends.conformance.examples import (
    NOW,
    PLAIN,
    WAIT,
    allocation,
    begin,
    block,
    carve,
    ending,
    find,
    firsts,
    lock,
    release,
    save,
    write,
)
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    BlockId,
    BlockOwner,
    BlocksWithFree,
    CatalogueChange,
    Changes,
    ConstraintViolated,
    Ledger,
    Locked,
    Transaction,
    WaitForLocks,
)
from ipamd.models.allocation import Idempotency
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import Unavailable
from ipamd.models.identity import digest_of
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio

MANY: Final = 24
LINGERING: Final = 200
"""How often a unit of work asks its transaction again before it takes it that the other one waits for it."""


async def linger(transaction: Transaction, until: Callable[[], bool], most: int = LINGERING) -> bool:
    """Stay in a unit of work until something has happened elsewhere; whether it has."""
    for _ in range(most):
        if until():
            return True
        await transaction.revision()
    return until()


@dataclass
class Scene:
    """What two units of work tell each other outside the database."""

    happened: set[str] = field(default_factory=set)

    def has(self, what: str) -> Callable[[], bool]:
        return lambda: what in self.happened

    async def until(self, what: str) -> None:
        """Wait outside of any unit of work."""
        while what not in self.happened:  # noqa: ASYNC110 - it may be said on another thread
            await asyncio.sleep(0.0005)


def in_turn(backend: Backend, replica: Backend, number: int) -> Sequence[Backend]:
    return [(backend, replica)[turn % 2] for turn in range(number)]


async def count_up(transaction: Transaction) -> bool:
    """Add one to what block 0 counts, unless others have it."""
    [locked] = await transaction.lock([BlockId("pods", 0)])
    if not locked.blocks:
        assert locked.passed_over
        return False
    [counter] = locked.blocks
    await linger(transaction, lambda: False, 2)
    await transaction.write(Changes(blocks=[replace(counter, last_freed=counter.last_freed + 1)]))
    return True


async def counted(backend: Backend) -> int:
    [[counter]] = await lock(backend, BlockId("pods", 0))
    return counter.last_freed


async def test_no_update_of_a_block_is_lost_when_all_wait(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))

    written = await asyncio.gather(
        *(each.transact(count_up, WAIT) for each in in_turn(backend, replica, MANY))
    )

    assert written == [True] * MANY
    assert await counted(backend) == MANY


async def test_no_update_of_a_block_is_lost_when_nobody_waits(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))

    written = await asyncio.gather(*(each.transact(count_up) for each in in_turn(backend, replica, MANY)))

    assert any(written)
    assert await counted(backend) == sum(written)


async def test_a_change_waits_for_blocks_and_loses_no_update(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))

    async def count_in_a_change(catalogue: CatalogueChange) -> bool:
        await catalogue.raise_revision()
        [counter] = await catalogue.blocks_between("pods", 0, 10)
        await catalogue.rewrite("pods", [replace(counter, last_freed=counter.last_freed + 1)], None)
        return True

    units = [each.transact(count_up, WAIT) for each in in_turn(backend, replica, MANY // 2)]
    changes = [each.change(count_in_a_change) for each in in_turn(replica, backend, MANY // 4)]
    written = await asyncio.gather(*units, *changes)

    assert all(written)
    assert await counted(backend) == len(written)


async def test_a_block_is_read_as_it_was_last_committed(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))
    scene = Scene()

    async def later(transaction: Transaction) -> tuple[bool, Block]:
        await transaction.find([digest_of("somebody")])
        scene.happened.add("begun")
        overtaken = await linger(transaction, scene.has("committed"))
        [locked] = await transaction.lock([BlockId("pods", 0)])
        return overtaken, locked.blocks[0]

    async def overtakes() -> None:
        await scene.until("begun")
        await replica.transact(count_up, WAIT)
        scene.happened.add("committed")

    (overtaken, seen), _ = await asyncio.gather(backend.transact(later, WAIT), overtakes())

    assert seen.last_freed == 1 or not overtaken


async def test_the_revision_is_read_as_it_was_last_committed(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))
    scene = Scene()

    async def decides(transaction: Transaction) -> tuple[bool, int]:
        await transaction.lock([BlockId("pods", 0)])
        await transaction.revision()
        scene.happened.add("locked")
        overtaken = await linger(transaction, scene.has("changed"))
        return overtaken, await transaction.revision()

    async def changes() -> None:
        await scene.until("locked")
        await save(replica, PLAIN)
        scene.happened.add("changed")

    (overtaken, seen), _ = await asyncio.gather(backend.transact(decides, WAIT), changes())

    assert seen == 1 or not overtaken


async def test_what_was_committed_is_seen_by_whoever_asks_next(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))
    for number in range(1, 6):
        one, other = in_turn(backend, replica, number + 2)[-2:]
        row = allocation(f"10.0.0.{number}", f"c{number}")
        [stored] = await begin(one, row)
        await one.transact(count_up, WAIT)
        await write(one, Changes(remembered=[release(row.digest, 1)]))
        revision = await save(one, PLAIN)

        found = await find(other, row.digest)
        assert list(found.held[row.digest]) == [stored]
        assert list(found.releases[row.digest]) == [release(row.digest, 1)]
        assert await counted(other) == number
        assert await other.transact(lambda transaction: transaction.revision()) == revision
        assert (await other.ledger.snapshot(Snapshot())).revision == revision
        assert (await other.ledger.page(AllocationQuery(), None, 10))[-1] == stored


async def test_of_one_holders_units_of_work_at_once_one_begins(backend: Backend, replica: Backend) -> None:
    async def begins(transaction: Transaction, number: int) -> str:
        row = allocation(f"10.0.0.{number}", "c1")
        found = await transaction.find([row.digest])
        if row.digest in found.busy:
            return "busy"
        if found.held[row.digest]:
            return "held"
        await linger(transaction, lambda: False, 2)
        await transaction.write(Changes(begun=[row]))
        return "begun"

    for locks in (SKIP_LOCKS, WAIT):
        verdicts = await asyncio.gather(
            *(
                each.transact(partial(begins, number=number), locks)
                for number, each in enumerate(in_turn(backend, replica, MANY))
            )
        )
        assert verdicts.count("begun") == (1 if locks == SKIP_LOCKS else 0)
        assert "busy" not in verdicts or locks == SKIP_LOCKS
    assert len(await backend.ledger.page(AllocationQuery(), None, 10)) == 1


async def test_an_add_and_the_del_that_overtakes_it_leave_nothing_held(
    backend: Backend, replica: Backend
) -> None:
    async def add(transaction: Transaction, number: int) -> None:
        row = allocation(f"10.0.{number}.1", f"c{number}")
        found = await transaction.find([row.digest])
        assert not found.busy
        if not any(row.taken < each.order for each in found.releases[row.digest]):
            await transaction.write(Changes(begun=[row]))

    async def delete(transaction: Transaction, number: int) -> None:
        digest = allocation(container_id=f"c{number}").digest
        found = await transaction.find([digest])
        assert not found.busy
        ended = [ending(row) for row in found.held[digest]]
        await transaction.write(Changes(ended=ended, remembered=[release(digest, 20)]))

    units = []
    for number in range(2 * MANY):
        one, other = in_turn(backend, replica, number + 2)[-2:]
        pair = [(one, add), (other, delete)]
        for each, work in pair if number % 4 < 2 else pair[::-1]:
            units.append(each.transact(partial(work, number=number), WAIT))
    await asyncio.gather(*units)

    assert list(await backend.ledger.page(AllocationQuery(), None, 100)) == []


@pytest.mark.parametrize("contested", ["address", "idempotency key"])
async def test_of_those_who_want_the_same_at_once_one_gets_it(
    backend: Backend, replica: Backend, contested: str
) -> None:
    async def takes(transaction: Transaction, number: int) -> None:
        row = allocation("10.0.0.1", f"c{number}")
        if contested == "idempotency key":
            row = allocation(f"10.0.0.{number}", f"c{number}", idempotency=Idempotency("key", b""))
        await transaction.find([row.digest])
        await transaction.write(Changes(begun=[row]))

    answers = await asyncio.gather(
        *(
            each.transact(partial(takes, number=number), WAIT)
            for number, each in enumerate(in_turn(backend, replica, MANY))
        ),
        return_exceptions=True,
    )

    assert answers.count(None) == 1
    assert all(answer is None or isinstance(answer, ConstraintViolated) for answer in answers)
    assert len(await backend.ledger.page(AllocationQuery(), None, 100)) == 1


async def test_a_block_that_one_has_is_not_handed_to_another(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0), block(64))
    had: set[int] = set()

    async def has(transaction: Transaction) -> None:
        [locked] = await transaction.lock([BlocksWithFree("pods", BlockOwner.ANY, None, NOW, 1)])
        mine = {each.first for each in locked.blocks}
        assert mine or locked.passed_over
        assert not mine & had
        had.update(mine)
        await linger(transaction, lambda: False, 5)
        had.difference_update(mine)

    await asyncio.gather(*(each.transact(has) for each in in_turn(backend, replica, MANY)))


async def test_nothing_free_is_said_only_when_it_is_so(backend: Backend, replica: Backend) -> None:
    await carve(backend, block(0))
    scene = Scene()

    async def holds(transaction: Transaction) -> None:
        await transaction.lock([BlockId("pods", 0)])
        scene.happened.add("locked")
        await linger(transaction, scene.has("asked"))

    async def asks(transaction: Transaction) -> Sequence[Locked]:
        return await transaction.lock(
            [BlocksWithFree("pods", BlockOwner.ANY, None, NOW, 4), BlockId("pods", 0), BlockId("pods", 64)]
        )

    async def asks_meanwhile() -> Sequence[Locked]:
        await scene.until("locked")
        answer = await replica.transact(asks)
        scene.happened.add("asked")
        return answer

    _, (with_room, numbered, uncarved) = await asyncio.gather(backend.transact(holds), asks_meanwhile())

    assert with_room.blocks or with_room.passed_over
    assert numbered.blocks or numbered.passed_over
    assert (list(uncarved.blocks), uncarved.passed_over) == ([], False)


@pytest.mark.parametrize("at_once", [True, False])
async def test_blocks_that_others_hold_are_waited_for_in_any_order(
    backend: Backend, replica: Backend, at_once: bool
) -> None:
    numbers = [64 * number for number in range(4)]
    await carve(backend, *map(block, numbers))

    async def takes_all(transaction: Transaction, order: Sequence[int]) -> list[int]:
        had: list[int] = []
        for piece in [order] if at_once else [[first] for first in order]:
            for locked in await transaction.lock([BlockId("pods", first) for first in piece]):
                had += firsts(locked.blocks)
        await linger(transaction, lambda: False, 2)
        return had

    orders = [numbers, numbers[::-1], numbers[2:] + numbers[:2]] * 4
    answers = await asyncio.gather(
        *(
            each.transact(partial(takes_all, order=order), WAIT)
            for each, order in zip(in_turn(backend, replica, len(orders)), orders, strict=True)
        )
    )

    assert answers == orders


async def test_waiting_that_runs_out_is_unavailable_and_changes_nothing(
    backend: Backend, replica: Backend
) -> None:
    await carve(backend, block(0))

    async def holds(transaction: Transaction) -> bool:
        await transaction.lock([BlockId("pods", 0)])
        await linger(transaction, lambda: False)
        return False

    answers = await asyncio.gather(
        backend.transact(holds),
        *(each.transact(count_up, WaitForLocks(0.001)) for each in in_turn(backend, replica, 4)),
        return_exceptions=True,
    )

    assert all(isinstance(answer, (bool, Unavailable)) for answer in answers), answers
    assert await counted(backend) == answers.count(True)


async def test_a_pinned_catalogue_does_not_change_before_the_unit_of_work_ends(
    backend: Backend, replica: Backend
) -> None:
    await save(replica, PLAIN)  # so that no time goes by with connecting
    scene = Scene()

    async def carves(transaction: Transaction) -> tuple[int, int]:
        pinned = await transaction.pin_catalogue()
        scene.happened.add("pinned")
        await linger(transaction, scene.has("changed"))
        return pinned, await transaction.revision()

    async def changes() -> None:
        await scene.until("pinned")
        await save(replica, PLAIN)
        scene.happened.add("changed")

    (pinned, later), _ = await asyncio.gather(backend.transact(carves, WAIT), changes())

    assert pinned == later
    assert await backend.transact(lambda transaction: transaction.revision()) == 2


async def test_a_pinned_catalogue_is_pinned_for_several_at_once(backend: Backend, replica: Backend) -> None:
    async def carves(transaction: Transaction) -> int:
        revision = await transaction.pin_catalogue()
        await linger(transaction, lambda: False, 2)
        return revision

    revisions = await asyncio.gather(
        *(each.transact(carves) for each in in_turn(backend, replica, MANY)),
    )

    assert revisions == [0] * MANY


async def test_the_same_blocks_carved_by_many_at_once_in_any_order_are_new_once(
    backend: Backend, replica: Backend
) -> None:
    blocks = [block(64 * number) for number in range(4)]

    async def carves(transaction: Transaction, order: Sequence[Block]) -> int:
        await transaction.pin_catalogue()
        await transaction.cursor("pods")
        return sum([await transaction.carve("pods", [each], 256) for each in order])

    orders = sorted([blocks, blocks[::-1]] * (MANY // 2), key=firsts)
    new = await asyncio.gather(
        *(
            each.transact(partial(carves, order=order), WAIT)
            for each, order in zip(
                in_turn(backend, replica, MANY), [*orders[::2], *orders[1::2]], strict=True
            )
        )
    )

    assert sum(new) == len(blocks)
    assert list(await backend.ledger.blocks("pods", NOW, (0, 255))) == blocks


async def test_changes_come_one_after_another(backend: Backend, replica: Backend) -> None:
    node = Node(cluster="default", name="node-1", labels={"count": "0"})
    await save(backend, node)

    async def count(catalogue: CatalogueChange) -> int:
        revision = await catalogue.raise_revision()
        snapshot = await catalogue.load(Snapshot())
        labels = snapshot.nodes[NodeKey("default", "node-1")].labels
        await catalogue.save(replace(node, labels={"count": str(int(labels["count"]) + 1)}))
        return revision

    revisions = await asyncio.gather(*(each.change(count) for each in in_turn(backend, replica, MANY)))

    assert sorted(revisions) == list(range(2, MANY + 2))
    snapshot = await replica.ledger.snapshot(Snapshot())
    assert snapshot.nodes[node.key].labels == {"count": str(MANY)}


async def test_who_has_read_up_to_a_number_has_seen_all_that_was_announced_up_to_it(
    backend: Backend, replica: Backend
) -> None:
    scene = Scene()
    names = [f"node-{number}" for number in range(4 * MANY)]

    async def announces(transaction: Transaction, name: str) -> None:
        changed = Announced("default", AnnouncedKind.NODE, name)
        await linger(transaction, lambda: False, len(name) % 3)
        await transaction.write(Changes(announced=frozenset({changed})))
        await linger(transaction, lambda: False, int(name[-1]))  # some take long to commit

    async def writes() -> None:
        turns = zip(in_turn(backend, replica, len(names)), names, strict=True)
        await asyncio.gather(*(each.transact(partial(announces, name=name), WAIT) for each, name in turns))
        scene.happened.add("written")

    async def reads(ledger: Ledger) -> set[str]:
        seen: set[str] = set()
        number, over = 0, False
        while not over:
            over = scene.has("written")()
            reading = await ledger.pod_network("default", Snapshot(), number)
            number = reading.position.number
            seen |= {each.name for each in reading.changed}
            await asyncio.sleep(0)  # reading in memory lets nobody else run
        return seen

    _, here, there = await asyncio.gather(writes(), reads(backend.ledger), reads(replica.ledger))

    assert here == there == set(names)


async def test_a_reader_never_sees_half_a_unit_of_work(backend: Backend, replica: Backend) -> None:
    await begin(backend, allocation("10.0.0.1", "c0"))
    scene = Scene()

    async def passes_on(transaction: Transaction, number: int) -> None:
        before = allocation(container_id=f"c{number}").digest
        found = await transaction.find([before])
        await transaction.write(Changes(ended=[ending(row) for row in found.held[before]]))
        await linger(transaction, lambda: False, 3)
        await transaction.write(Changes(begun=[allocation("10.0.0.1", f"c{number + 1}")]))

    async def writes() -> None:
        for number in range(20):
            await backend.transact(partial(passes_on, number=number), WAIT)
        scene.happened.add("written")

    async def reads() -> list[int]:
        live = []
        while not scene.has("written")():
            live.append(len(await replica.ledger.page(AllocationQuery(), None, 10)))
            await asyncio.sleep(0)
        return live

    _, live = await asyncio.gather(writes(), reads())

    assert set(live) <= {1}


async def test_a_reader_never_sees_half_a_change(backend: Backend, replica: Backend) -> None:
    pools = [replace(PLAIN, name=name) for name in ("a", "b", "c")]
    await save(backend, *pools)
    scene = Scene()

    async def changes() -> None:
        for number in range(1, 20):
            await save(backend, *(replace(pool, priority=number) for pool in pools))
        scene.happened.add("changed")

    async def reads() -> None:
        known = Snapshot()
        while not scene.has("changed")():
            known = await replica.ledger.snapshot(known)
            assert len({pool.priority for pool in known.pools.values()}) == 1
            assert {pool.revision for pool in known.pools.values()} == {known.revision}
            await asyncio.sleep(0)

    await asyncio.gather(changes(), reads())
