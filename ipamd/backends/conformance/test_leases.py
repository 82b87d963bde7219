"""Leases: the rows of nodes and seats, and the allocations that belong to them."""

from __future__ import annotations

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import (
    CONFIGURATION,
    HERE,
    LEASE,
    NOW,
    SEAT,
    THERE,
    allocation,
    begin,
    block,
    carve,
    container,
    ending,
    find,
    lock,
    write,
)
from ipamd.backends.interface import Backend, BlockId, Changes, ConstraintViolated
from ipamd.models.allocation import SeatPosition
from ipamd.models.lease import SeatCount, SeatKey, seat_owner
from ipamd.models.query import AllocationQuery, HistoryQuery

pytestmark = pytest.mark.asyncio

FIRST = SeatKey(HERE, 1)
NOTED = structs.replace(LEASE, node=THERE, noted_boot="c", noted_store="t", noted=NOW, recalled=2)
FREE = allocation("10.0.0.1", holder=seat_owner(FIRST), seat=SeatPosition(1, 0), free_since=NOW - 9)
TAKEN = allocation("10.0.0.1", "c1", seat=SeatPosition(1, 0))


async def test_leases_are_found_by_node_and_in_the_order_of_nodes(backend: Backend) -> None:
    await write(backend, Changes(leases=[NOTED, LEASE]))

    assert await backend.ledger.leases(None) == [LEASE, NOTED]
    assert await backend.ledger.leases(THERE) == [NOTED]
    found = await backend.transact(lambda transaction: transaction.leases([HERE, HERE._replace(name="no")]))
    assert found == {HERE: LEASE}


async def test_a_lease_is_written_again(backend: Backend) -> None:
    await write(backend, Changes(leases=[LEASE]))
    changed = structs.replace(LEASE, epoch=2, recalled=2)

    await write(backend, Changes(leases=[changed]))

    assert await backend.ledger.leases(None) == [changed]


async def test_seats_are_kept_by_number_until_they_are_returned(backend: Backend) -> None:
    tenth, void = structs.replace(SEAT, number=10), structs.replace(SEAT, void_in="b")
    elsewhere = structs.replace(SEAT, node=THERE)
    await write(backend, Changes(seats=[tenth, elsewhere, SEAT]))
    await write(backend, Changes(seats=[void]))

    assert await backend.ledger.seats(HERE) == [void, tenth]
    await write(backend, Changes(returned=[FIRST]))
    assert await backend.ledger.seats(HERE) == [tenth]
    assert await backend.ledger.seats(THERE) == [elsewhere]


async def test_a_seat_is_recalled_if_it_is_there(backend: Backend) -> None:
    second = structs.replace(SEAT, number=2)
    await write(backend, Changes(leases=[LEASE, NOTED], seats=[SEAT, second]))

    await write(backend, Changes(recalled=[SeatKey(HERE, 2), SeatKey(HERE, 3), SeatKey(THERE, 1)]))

    assert await backend.ledger.seats(HERE) == [SEAT, structs.replace(second, is_recalled=True)]
    assert await backend.ledger.recalled_seats() == [SeatKey(HERE, 2)]
    assert await backend.ledger.nodes_with_seats() == {HERE}
    assert await backend.ledger.noted_leases() == [NOTED]


async def test_whose_seats_have_addresses_of_some_pools(backend: Backend) -> None:
    await begin(backend, FREE, allocation("10.0.0.2", "c2", seat=SeatPosition(2, 0)))
    second = allocation("10.0.0.3", holder=seat_owner(SeatKey(HERE, 3)), seat=SeatPosition(3, 0))
    there = allocation("10.0.0.4", holder=container("c1", "node-2"), seat=SeatPosition(2, 0))
    others = structs.replace(
        allocation("10.1.0.1", holder=container("c5"), seat=SeatPosition(5, 0)), pool="b"
    )
    await begin(backend, second, there, others, allocation("10.0.0.9", "c9"))

    found = await backend.ledger.seat_counts(["pods", "none"])

    assert found == {HERE: SeatCount(free=2, taken=1), THERE: SeatCount(free=0, taken=1)}
    assert await backend.ledger.seat_counts(["b"]) == {HERE: SeatCount(free=0, taken=1)}
    assert await backend.ledger.seat_counts([]) == {}


async def test_a_configuration_is_stored_once(backend: Backend) -> None:
    stored = {SEAT.configuration: CONFIGURATION}
    await write(backend, Changes(configurations=stored))
    await write(backend, Changes(configurations=stored))

    assert await backend.ledger.configurations([SEAT.configuration, bytes(16)]) == stored


async def test_a_seat_keeps_its_place_and_since_when_its_address_is_free(backend: Backend) -> None:
    await write(backend, Changes(seats=[SEAT]))

    [stored] = await begin(backend, FREE)

    assert (stored.seat, stored.free_since) == (FREE.seat, NOW - 9)
    assert await backend.ledger.seat_rows(HERE) == [stored]


async def test_a_seat_passes_to_a_container_and_back_and_leaves_no_history(backend: Backend) -> None:
    await write(backend, Changes(seats=[SEAT]))
    [free] = await begin(backend, FREE)

    await write(backend, Changes(dropped=[free.stored_id], begun=[TAKEN]))
    [taken] = (await find(backend, TAKEN.digest)).held[TAKEN.digest]
    assert await backend.ledger.seat_rows(HERE) == [taken]
    assert await backend.transact(lambda transaction: transaction.pinned([FIRST])) == [taken]

    await write(backend, Changes(ended=[ending(taken)], begun=[FREE]))
    [again] = await backend.ledger.page(AllocationQuery(), None, 9)
    assert again.holder == seat_owner(FIRST)
    rows = await backend.ledger.history(HistoryQuery(), None, 9)
    assert {row.id for row in rows} == {taken.id, again.id}
    assert next(row.seat for row in rows if row.id == taken.id) is None
    assert not await backend.transact(lambda transaction: transaction.pinned([FIRST]))


async def test_of_many_seats_those_asked_about_are_found(backend: Backend) -> None:
    rows = [
        allocation(f"10.0.0.{number}", f"c{number}", seat=SeatPosition(number, 0)) for number in range(1, 8)
    ]
    there = allocation("10.0.1.1", holder=container("c1", "node-2"), seat=SeatPosition(2, 0))
    await begin(backend, *rows, there)

    found = await backend.transact(
        lambda transaction: transaction.pinned([SeatKey(HERE, 2), SeatKey(HERE, 5)])
    )

    assert {row.seat for row in found} == {SeatPosition(2, 0), SeatPosition(5, 0)}
    assert {row.holder for row in found} <= {row.holder for row in rows}


async def test_a_seat_has_one_container_at_a_time(backend: Backend) -> None:
    await begin(backend, TAKEN)

    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(begun=[allocation("10.0.0.2", "c2", seat=SeatPosition(1, 0))]))


async def test_what_is_not_live_is_not_dropped(backend: Backend) -> None:
    [stored] = await begin(backend, TAKEN)
    await write(backend, Changes(ended=[ending(stored)]))

    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(dropped=[stored.stored_id]))


async def test_sums_say_how_many_addresses_are_leased(backend: Backend) -> None:
    await carve(backend, block(0, allocated=3, leased=2), block(64))
    [[locked]] = await lock(backend, BlockId("pods", 64))
    locked.leased, locked.allocated = 5, 6

    await write(backend, Changes(blocks=[locked]))

    fill = (await backend.ledger.fill(["pods"]))["pods"]
    assert (fill.allocated, fill.leased) == (9, 7)
