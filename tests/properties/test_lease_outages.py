"""An hour without ipamd, and twenty nodes that share a small pool, at a simulated time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from ipamd.models.allocation import Allocation
from ipamd.models.identity import Identity
from ipamd.models.pool import PoolState
from tests.simulation.accounts import AGAIN, NEAR, Accounts
from tests.simulation.world import Stay, World

NOTHING_FREE: Final = 100
ADDRESSES: Final = 62
"""What a /26 has beside its two ends."""


@contextmanager
def world_of(nodes: int, subnet: str, seats: int) -> Iterator[tuple[World, Accounts]]:
    """Nodes that give from their leases, with one container each."""
    world = World(nodes, subnet, seats=seats)
    try:
        accounts = Accounts(world)
        for machine in world.machines:
            assert accounts.add(machine, "first").code == 0
        world.pass_time(25)
        yield world, accounts
    finally:
        world.close()


def test_an_hour_without_ipamd_is_in_the_tables_afterwards_in_its_order_and_at_its_times() -> None:
    chances = random.Random(1)
    with world_of(3, "10.0.0.0/24", 8) as (world, accounts):
        world.run(world.service.stop())
        refused = 0
        for turn in range(120):
            for machine in world.machines:
                mine = [container for identity, container in world.living if identity == machine.identity]
                if chances.random() < 0.5:
                    refused += accounts.add(machine, f"c{turn}").code == AGAIN
                elif mine:
                    accounts.delete(machine, chances.choice(mine))
                for container in mine[:1]:  # it is asked for again, and its answer stays the same
                    if (machine.identity, container) in world.living:
                        accounts.add(machine, container)
            world.time.advance(28)
            world.pass_time(2)
        assert refused > 0  # all seats were taken at times
        unplugged = world.machines[-1]
        accounts.tried |= {key for key in world.living if key[0] == unplugged.identity}  # they get a DEL
        world.power_cut(unplugged)

        world.run(world.service.start())
        accounts.settle()

        accounts.compare()
        past = world.history()
        assert len(world.stays) > 60
        for stay in world.stays:
            assert any(_is_of(stay, row) for row in past), stay
        for machine in world.machines:
            began = [stay.container for stay in world.stays if stay.machine is machine]
            rows = sorted(past, key=lambda row: row.since)
            told = [row.holder for row in rows if isinstance(row.holder, Identity)]
            assert list(dict.fromkeys(who.container_id for who in told if who.node == machine.name)) == began


def _is_of(stay: Stay, row: Allocation) -> bool:
    """Whether a row of the history is a container's stay, with its times."""
    if not isinstance(row.holder, Identity) or str(row.address) not in stay.addresses:
        return False
    ended = stay.ended is None or (row.until is not None and row.until >= stay.ended - NEAR)
    return (
        (row.holder.node, row.holder.container_id) == (stay.machine.name, stay.container)
        and abs(row.since - stay.begun) <= NEAR
        and ended
    )


def test_the_last_free_address_is_given_wherever_it_lies_and_nothing_free_is_true() -> None:
    with world_of(20, "10.0.0.0/26", 4) as (world, accounts):
        assert world.leased() > 0
        node = world.machines[0]

        for number in range(ADDRESSES - len(world.living)):
            began = world.time.now
            ended = accounts.add(node, f"c{number}")
            assert ended.code == 0, (number, ended)
            assert world.time.now - began < 5_000_000_000

        assert world.leased() == 0
        assert accounts.add(node, "one-more").code == NOTHING_FREE
        accounts.settle()
        accounts.compare()


def test_what_silent_nodes_hold_is_not_called_nothing_free() -> None:
    with world_of(4, "10.0.0.0/27", 4) as (world, accounts):
        node, *others = world.machines
        for machine in others:
            machine.kill_agent()
        codes = [accounts.add(node, f"c{number}").code for number in range(30)]

        assert set(codes) == {0, AGAIN}
        assert world.leased() > 0
        for machine in others:
            machine.start_agent()
        world.pass_time(30)
        assert accounts.add(node, "again").code == 0


def test_a_pool_that_drains_has_no_free_seats_after_two_seconds() -> None:
    with world_of(20, "10.0.0.0/24", 4) as (world, accounts):
        assert world.leased() >= 40

        edit(world, state=PoolState.DRAINING)
        world.pass_time(2)

        assert world.leased() == 0
        accounts.settle()
        accounts.compare()


def edit(world: World, **fields: Any) -> None:
    """Change the pool."""
    world.admin(
        lambda engine: engine.administration.edit_pool("pods", lambda old: replace(old, **fields), None)
    )
