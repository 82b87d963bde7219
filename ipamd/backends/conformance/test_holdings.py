"""What nodes hold, in numbers."""

from __future__ import annotations

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import (
    HERE,
    SEAT,
    THERE,
    allocation,
    begin,
    block,
    carve,
    container,
    end,
    write,
)
from ipamd.backends.interface import Backend, Changes
from ipamd.models.allocation import SeatPosition
from ipamd.models.holding import NodeHolding
from ipamd.models.identity import Owner
from ipamd.models.lease import SeatKey, seat_owner

pytestmark = pytest.mark.asyncio

ELSEWHERE = HERE._replace(cluster="other")


async def test_what_nodes_hold_is_counted(backend: Backend) -> None:
    await carve(backend, block(0, node=HERE, allocated=3), block(64, node=THERE), block(128), cursor=192)
    await carve(backend, block(0, pool="other", node=HERE), block(64, pool="other", node=HERE))
    seats = [structs.replace(SEAT, number=number) for number in (1, 2, 3)]
    await write(backend, Changes(seats=[*seats, structs.replace(SEAT, node=THERE)]))
    free = allocation("10.0.0.1", holder=seat_owner(SeatKey(HERE, 1)), seat=SeatPosition(1, 0))
    taken = [
        allocation(f"10.0.0.{2 + family}", "c1", seat=SeatPosition(2, family), position=family)
        for family in (0, 1)
    ]
    ended, *_ = await begin(
        backend,
        allocation("10.0.0.9", "c9"),
        free,
        *taken,
        allocation("10.0.0.4", "c2"),
        allocation("10.0.0.5", holder=container("c3", node=THERE.name)),
        allocation("10.0.0.6", holder=container("c4", cluster="other")),
        allocation("10.0.0.7", holder=Owner("vm-1", bytes(16))),
    )
    await end(backend, ended)

    found = await backend.ledger.holdings([HERE, THERE, ELSEWHERE, HERE._replace(name="no")], ["pods"], 3)

    assert found == {
        HERE: NodeHolding(3, 2, {"pods": 1}),
        THERE: NodeHolding(1, 1, {"pods": 1}),
        ELSEWHERE: NodeHolding(1, 0, {}),
    }
    of_both = await backend.ledger.holdings([HERE], ["pods", "other", "none"], 9)
    assert of_both == {HERE: NodeHolding(3, 2, {"pods": 1, "other": 2})}
    at_most_two = await backend.ledger.holdings([HERE, THERE], [], 2)
    assert at_most_two == {HERE: NodeHolding(2, 2, {}, more_addresses=True), THERE: NodeHolding(1, 1, {})}
    assert await backend.ledger.holdings([], ["pods"], 2) == {}
