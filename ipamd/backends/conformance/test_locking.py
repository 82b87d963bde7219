"""Blocks: searching, locking, writing and carving them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    NOW,
    PLAIN,
    THERE,
    WAIT,
    block,
    carve,
    cursor,
    firsts,
    lock,
    save,
    write,
)
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Backend,
    BlockId,
    BlockOwner,
    BlocksWithFree,
    Changes,
    Locked,
    LockPolicy,
    Transaction,
)
from ipamd.models.block import HELD
from ipamd.models.node import NodeKey

pytestmark = pytest.mark.asyncio


def anybodys(limit: int, *but_not: int, pool: str = "pods", free_before: int = NOW) -> BlocksWithFree:
    return BlocksWithFree(pool, BlockOwner.ANY, None, free_before, limit, frozenset(but_not))


async def test_every_field_of_a_block_comes_back(backend: Backend) -> None:
    full = block(2**128 - 64, node=NodeKey("west", "n"), allocated=3, last_freed=NOW, next_free_since=NOW - 1)
    full.free_since[0], full.free_since[63] = HELD, NOW
    await carve(backend, full)

    assert await lock(backend, BlockId("pods", full.first)) == [[full]]


async def test_a_block_has_as_many_addresses_as_it_was_carved_with(backend: Backend) -> None:
    sizes = [replace(block(first), free_since=block(0).free_since[:size]) for first, size in ((0, 1), (4, 4))]
    await carve(backend, *sizes)

    assert await lock(backend, BlockId("pods", 0), BlockId("pods", 4)) == [[sizes[0]], [sizes[1]]]


async def test_a_numbered_search_answers_the_block_or_nothing(backend: Backend) -> None:
    await carve(backend, block(64))

    found = await lock(backend, BlockId("pods", 64), BlockId("pods", 0), BlockId("other", 64))

    assert found == [[block(64)], [], []]


async def test_searches_are_answered_in_their_order(backend: Backend) -> None:
    await carve(backend, *(block(first, next_free_since=NOW - first) for first in (0, 64, 128)))
    await carve(backend, block(0, pool="other"))

    found = await lock(
        backend,
        anybodys(1),
        BlockId("pods", 128),
        BlockId("other", 0),
        anybodys(1, pool="other"),
        BlockId("pods", 0),
        anybodys(2, 128),
        BlockId("pods", 64),
    )

    assert [firsts(blocks) for blocks in found] == [[128], [128], [0], [0], [0], [64, 0], [64]]
    assert [blocks[0].pool for blocks in found] == ["pods", "pods", "other", "other", "pods", "pods", "pods"]


async def test_a_search_answers_the_longest_free_first_and_no_more_than_asked(backend: Backend) -> None:
    await carve(backend, *(block(64 * place, next_free_since=NOW - place) for place in range(5)))

    assert [firsts(blocks) for blocks in await lock(backend, anybodys(2))] == [[256, 192]]


async def test_a_search_leaves_out_what_is_cooling_full_known_or_of_another_pool(backend: Backend) -> None:
    ready, cooling, full, known = 0, 64, 128, 192
    await carve(
        backend,
        block(ready, next_free_since=NOW),
        block(cooling, next_free_since=NOW + 1),
        block(full, next_free_since=None),
        block(known, next_free_since=NOW - 5),
    )
    await carve(backend, block(256, pool="other"))

    for limit in (1, 10):
        assert [firsts(blocks) for blocks in await lock(backend, anybodys(limit, known))] == [[ready]]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (BlockOwner.ANY, {0, 64, 128, 192, 256, 320}),
        (BlockOwner.OWN, {64, 128}),
        (BlockOwner.NONE, {0}),
        (BlockOwner.OTHER_WHILE_EMPTY, {192, 320}),
    ],
)
async def test_a_search_knows_the_owner_of_a_block(
    backend: Backend, owner: BlockOwner, expected: set[int]
) -> None:
    namesake = NodeKey("west", HERE.name)
    await carve(
        backend,
        block(0),
        block(64, node=HERE),
        block(128, node=HERE, allocated=3),
        block(192, node=THERE),
        block(256, node=THERE, allocated=3),
        block(320, node=namesake),
    )

    node = None if owner is BlockOwner.ANY else HERE
    [found] = await lock(backend, BlocksWithFree("pods", owner, node, NOW, 10))

    assert set(firsts(found)) == expected


async def test_a_block_that_is_written_is_found_as_it_is_now(backend: Backend) -> None:
    await carve(backend, block(0))

    async def take_all(transaction: Transaction) -> None:
        [locked] = await transaction.lock([BlockId("pods", 0)])
        [mine] = locked.blocks
        for place in range(mine.size):
            mine.free_since[place] = HELD
        mine.allocated, mine.next_free_since, mine.node = mine.size, None, HERE
        await transaction.write(Changes(blocks=[mine]))

    await backend.transact(take_all)

    own = BlocksWithFree("pods", BlockOwner.OWN, HERE, NOW, 1)
    [[taken], with_room, of_node] = await lock(backend, BlockId("pods", 0), anybodys(1), own)
    assert (taken.allocated, taken.node, set(taken.free_since)) == (64, HERE, {HELD})
    assert with_room == of_node == []


async def test_a_block_that_gets_room_again_is_found_in_its_new_place(backend: Backend) -> None:
    await carve(backend, block(0, next_free_since=None), block(64, next_free_since=NOW - 5))

    await write(backend, Changes(blocks=[block(0, next_free_since=NOW - 9, node=THERE)]))

    [found, empty] = await lock(
        backend, anybodys(9), BlocksWithFree("pods", BlockOwner.OTHER_WHILE_EMPTY, HERE, NOW, 9)
    )
    assert (firsts(found), firsts(empty)) == ([0, 64], [0])


@pytest.mark.parametrize("locks", [SKIP_LOCKS, WAIT])
async def test_what_is_locked_again_is_what_the_unit_of_work_wrote(
    backend: Backend, locks: LockPolicy
) -> None:
    await carve(backend, block(0))

    async def twice(transaction: Transaction) -> list[int]:
        seen = []
        for number in (1, 2):
            [locked] = await transaction.lock([BlockId("pods", 0)])
            seen.append(locked.blocks[0].allocated)
            await transaction.write(Changes(blocks=[replace(locked.blocks[0], allocated=number)]))
        return seen

    assert await backend.transact(twice, locks) == [0, 1]


@pytest.mark.parametrize("locks", [SKIP_LOCKS, WAIT])
async def test_what_was_locked_and_not_written_is_locked_again_as_it_is_kept(
    backend: Backend, locks: LockPolicy
) -> None:
    await carve(backend, block(0))

    async def scribbles(transaction: Transaction) -> Sequence[Locked]:
        [locked] = await transaction.lock([BlockId("pods", 0)])
        locked.blocks[0].free_since[0] = HELD
        locked.blocks[0].next_free_since = None
        return await transaction.lock([BlockId("pods", 0), anybodys(1)])

    again = await backend.transact(scribbles, locks)

    assert [list(one.blocks) for one in again] == [[block(0)], [block(0)]]


@pytest.mark.parametrize("locks", [SKIP_LOCKS, WAIT])
async def test_a_unit_of_work_finds_the_room_that_it_made(backend: Backend, locks: LockPolicy) -> None:
    await carve(backend, block(0, next_free_since=None), block(64))

    async def makes_room(transaction: Transaction) -> list[list[int]]:
        await transaction.lock([BlockId("pods", 0), BlockId("pods", 64), BlockId("pods", 128)])
        await transaction.write(Changes(blocks=[block(0), block(64, next_free_since=None)]))
        await transaction.carve("pods", [block(128)], None)
        locked = await transaction.lock([anybodys(9), BlockId("pods", 128)])
        return [firsts(one.blocks) for one in locked]

    assert await backend.transact(makes_room, locks) == [[0, 128], [128]]


async def test_carving_adds_what_is_missing_and_says_how_many(backend: Backend) -> None:
    held = block(0, node=HERE, allocated=64, next_free_since=None)
    assert await carve(backend, held) == 1

    assert await carve(backend, *(block(first) for first in (0, 64, 128))) == 2

    assert await lock(backend, BlockId("pods", 0)) == [[held]]


async def test_carving_twice_in_one_unit_of_work_adds_once(backend: Backend) -> None:
    async def twice(transaction: Transaction) -> list[int]:
        first = await transaction.carve("pods", [block(0, node=HERE)], None)
        second = await transaction.carve("pods", [block(0), block(64)], 128)
        return [first, second, await transaction.cursor("pods")]

    assert await backend.transact(twice) == [1, 1, 128]
    assert await lock(backend, BlockId("pods", 0)) == [[block(0, node=HERE)]]


@pytest.mark.parametrize("place", [0, 2**32, 2**64, 2**128])
async def test_the_cursor_of_a_pool_may_stand_behind_its_last_address(backend: Backend, place: int) -> None:
    await carve(backend, block(0), cursor=place)
    await carve(backend, block(64), cursor=None)

    assert await cursor(backend) == place
    assert await cursor(backend, "other") == 0


async def test_carving_moves_the_cursor_where_it_is_told(backend: Backend) -> None:
    places = [640, 1280, 64]

    for place in places:
        await carve(backend, block(0), cursor=place)
        assert await cursor(backend) == place


async def test_the_cursor_moves_also_where_nothing_is_carved(backend: Backend) -> None:
    assert await backend.transact(lambda transaction: transaction.carve("pods", [], 640)) == 0

    assert await cursor(backend) == 640


async def test_blocks_of_both_ends_of_ipv6_are_kept_in_their_order(backend: Backend) -> None:
    places = [0, 2**32 - 64, 2**32, 2**63, 2**64, 2**127, 2**128 - 64]
    await carve(backend, *(block(first, pool="six") for first in reversed(places)))

    assert firsts(await backend.ledger.blocks("six", NOW, (0, 2**128 - 1))) == places


async def test_a_unit_of_work_reads_the_revision_of_the_catalogue(backend: Backend) -> None:
    for expected in (0, 1, 2):
        assert await backend.transact(lambda transaction: transaction.revision()) == expected
        assert await backend.transact(lambda transaction: transaction.pin_catalogue()) == expected
        await save(backend, PLAIN)
