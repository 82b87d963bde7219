"""Finding, locking, writing and carving, the same on every backend."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ipamd.backends.interface import (
    Backend,
    BlockSearch,
    Changes,
    Found,
    Numbered,
    RememberedRelease,
    Repeated,
    Transaction,
    Whose,
    WithRoom,
)
from ipamd.models.allocation import Idempotency, NetworkNamespace, Workload
from ipamd.models.block import HELD, Block, new_block
from ipamd.models.identity import Owner, digest_of
from ipamd.models.issued import Order
from ipamd.models.node import NodeKey
from tests.unit.conftest import NOW, allocation, begin, carve, end, write

HERE = NodeKey("default", "node-1")
THERE = NodeKey("default", "node-2")


async def find(backend: Backend, *digests: bytes) -> Found:
    return await backend.transact(lambda transaction: transaction.find(digests))


async def lock(backend: Backend, *searches: BlockSearch) -> list[Sequence[Block]]:
    locked = await backend.transact(lambda transaction: transaction.lock(searches))
    return [one.blocks for one in locked]


def numbers(blocks: Sequence[Block]) -> list[int]:
    return [block.first for block in blocks]


def ready_since(
    first: int, since: int | None, node: NodeKey | None = None, allocated: int = 0, pool: str = "pods"
) -> Block:
    block = new_block(pool, first, 64, node)
    block.next_free_since, block.allocated = since, allocated
    return block


async def test_every_column_of_an_allocation_comes_back(backend: Backend) -> None:
    container = allocation(
        "fd00::1:2",
        "c1",
        workload=Workload("shop", "web-0", "5a1c"),
        boot="f0e1",
        netns=NetworkNamespace(4, 4026532000),
        generation=3,
        repeated=Order(2, 5),
    )
    digest = digest_of("vm-1")
    machine = allocation(
        "10.0.0.2",
        holder=Owner("vm-1", digest),
        block=int(ip_address("10.0.0.2")),
        idempotency=Idempotency("token/key", b"hash"),
    )

    await begin(backend, container, machine)

    found = await find(backend, container.digest, digest)
    [first], [second] = found.held[container.digest], found.held[digest]
    assert replace(first, id=None) == container
    assert replace(second, id=None) == machine


async def test_find_answers_for_each_holder_by_position(backend: Backend) -> None:
    second = allocation("10.0.0.1", "c1", position=1)
    first = allocation("10.0.0.2", "c1", position=0)
    other = allocation("10.0.0.3", "c2")
    await begin(backend, second, first, other)
    nobody = digest_of("nobody")

    found = await find(backend, first.digest, other.digest, nobody)

    assert [row.position for row in found.held[first.digest]] == [0, 1]
    assert len(found.held[other.digest]) == 1
    assert list(found.held[nobody]) == [] == list(found.releases[nobody])


async def test_find_answers_for_more_holders_than_one_statement_takes(backend: Backend) -> None:
    rows = [allocation(str(ip_address("10.0.0.0") + number), f"c{number}") for number in range(1100)]
    await begin(backend, *rows)

    found = await find(backend, *(row.digest for row in rows))

    assert all(len(found.held[row.digest]) == 1 for row in rows)


async def test_what_has_ended_is_not_found(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    await end(backend, stored, NOW + 1)

    found = await find(backend, stored.digest)

    assert list(found.held[stored.digest]) == []


async def test_a_repeat_is_written_on_the_row(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    assert stored.id is not None

    await write(backend, Changes(repeated=[Repeated(stored.id, 2, Order(1, 20))]))

    found = await find(backend, stored.digest)
    assert found.held[stored.digest] == [replace(stored, generation=2, repeated=Order(1, 20))]


async def test_of_a_holders_releases_the_last_issued_is_remembered(backend: Backend) -> None:
    digest = digest_of("c1")
    early = RememberedRelease(digest, Order(1, 10), False, NOW)
    late = RememberedRelease(digest, Order(1, 20), False, NOW)

    for release in (late, early):
        await write(backend, Changes(remembered=[release]))

    assert list((await find(backend, digest)).releases[digest]) == [late]


async def test_each_undo_is_remembered_beside_the_release(backend: Backend) -> None:
    digest = digest_of("c1")
    release = RememberedRelease(digest, Order(1, 30), False, NOW)
    undos = [RememberedRelease(digest, Order(1, number), True, NOW) for number in (10, 20)]

    await write(backend, Changes(remembered=[release, *undos, undos[0]]))

    assert list((await find(backend, digest)).releases[digest]) == [release, *undos]


async def test_releases_are_forgotten_when_their_time_is_over(backend: Backend) -> None:
    digests = [digest_of(str(number)) for number in range(2500)]
    old = [RememberedRelease(digest, Order(1, 1), False, NOW) for digest in digests]
    kept = RememberedRelease(digests[0], Order(1, 1), True, NOW + 1)
    await write(backend, Changes(remembered=[*old, kept]))

    await backend.forget_releases(NOW)

    found = await find(backend, *digests)
    assert [release for digest in digests for release in found.releases[digest]] == [kept]


async def test_a_numbered_search_answers_the_block_or_nothing(backend: Backend) -> None:
    await carve(backend, new_block("pods", 64, 64, HERE))

    found = await lock(backend, Numbered("pods", 64), Numbered("pods", 0), Numbered("other", 64))

    assert found == [[new_block("pods", 64, 64, HERE)], [], []]


async def test_a_search_answers_the_longest_free_first_and_no_more_than_asked(backend: Backend) -> None:
    await carve(backend, *(ready_since(64 * place, NOW - place) for place in range(5)))

    [found] = await lock(backend, WithRoom("pods", Whose.ANYBODYS, None, NOW, 2))

    assert numbers(found) == [4 * 64, 3 * 64]


async def test_a_search_leaves_out_what_is_cooling_full_known_or_of_another_pool(backend: Backend) -> None:
    ready, cooling, full, known = 0, 64, 128, 192
    await carve(
        backend,
        ready_since(ready, NOW),
        ready_since(cooling, NOW + 1),
        ready_since(full, None),
        ready_since(known, NOW - 5),
    )
    await carve(backend, ready_since(256, NOW, pool="other"))

    [found] = await lock(backend, WithRoom("pods", Whose.ANYBODYS, None, NOW, 1, but_not=frozenset({known})))

    assert numbers(found) == [ready]


@pytest.mark.parametrize(
    ("whose", "expected"),
    [
        (Whose.ANYBODYS, [0, 64, 128, 192, 256]),
        (Whose.OWN, [64, 128]),
        (Whose.NOBODYS, [0]),
        (Whose.EMPTY_OF_OTHERS, [192]),
    ],
)
async def test_a_search_knows_whose_a_block_is(backend: Backend, whose: Whose, expected: list[int]) -> None:
    await carve(
        backend,
        ready_since(0, NOW),
        ready_since(64, NOW, HERE),
        ready_since(128, NOW, HERE, allocated=3),
        ready_since(192, NOW, THERE),
        ready_since(256, NOW, THERE, allocated=3),
    )

    node = None if whose is Whose.ANYBODYS else HERE
    [found] = await lock(backend, WithRoom("pods", whose, node, NOW, 10))

    assert numbers(found) == expected


async def test_a_block_that_is_written_is_found_as_it_is_now(backend: Backend) -> None:
    await carve(backend, ready_since(0, NOW))

    async def take_all(transaction: Transaction) -> None:
        [locked] = await transaction.lock([Numbered("pods", 0)])
        [block] = locked.blocks
        for place in range(block.size):
            block.free_since[place] = HELD
        block.allocated, block.next_free_since, block.node = block.size, None, HERE
        await transaction.write(Changes(blocks=[block]))

    await backend.transact(take_all)

    search = WithRoom("pods", Whose.ANYBODYS, None, NOW, 1)
    [numbered, with_room] = await lock(backend, Numbered("pods", 0), search)
    assert (numbered[0].allocated, numbered[0].node) == (64, HERE)
    assert set(numbered[0].free_since) == {HELD}
    assert list(with_room) == []


async def test_carving_adds_what_is_missing_and_says_how_many(backend: Backend) -> None:
    held = ready_since(0, None, HERE, allocated=64)
    assert await carve(backend, held) == 1

    assert await carve(backend, *(new_block("pods", first, 64, None) for first in (0, 64, 128))) == 2

    [first] = await lock(backend, Numbered("pods", 0))
    assert first == [held]


@pytest.mark.parametrize("place", [0, 2**32, 2**128])
async def test_the_cursor_of_a_pool_may_stand_behind_its_last_address(backend: Backend, place: int) -> None:
    await carve(backend, new_block("pods", 0, 64, None), cursor=place)

    assert await backend.transact(lambda transaction: transaction.cursor("pods")) == place
    assert await backend.transact(lambda transaction: transaction.cursor("other")) == 0


async def test_blocks_of_both_ends_of_ipv6_are_kept_in_their_order(backend: Backend) -> None:
    firsts = [0, 2**32 - 64, 2**32, 2**64, 2**128 - 64]
    await carve(backend, *(new_block("six", first, 64, None) for first in reversed(firsts)))

    blocks = await backend.ledger.blocks("six", NOW, (0, 2**128 - 1))

    assert numbers(blocks) == firsts


async def test_a_unit_of_work_that_waits_for_something_else_is_refused_and_undone(backend: Backend) -> None:
    async def waits(transaction: Transaction) -> None:
        await transaction.carve("pods", [new_block("pods", 0, 64, None)], None)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="may wait for its own transaction only"):
        await backend.transact(waits)

    assert await lock(backend, Numbered("pods", 0)) == [[]]
