"""Orders of events between plugin, agent, ipamd, reboots and admins, each at its very moment.

Time and network are simulated (`tests/simulation`). After each order all is mended, and what runtimes were
told is compared with the tables and the history; then all containers end, and every address is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ipam_plugin.leases import layout
from ipamd.models.address import AddressRange
from tests.simulation.accounts import Accounts
from tests.simulation.machine import Machine
from tests.simulation.world import World

LATE = 20
"""Seconds after which a node gives from its lease."""


class Played:
    """Two nodes that give from their leases."""

    def __init__(self, nodes: int = 2) -> None:
        self.world = World(nodes)
        self.accounts = Accounts(self.world)
        for machine in self.world.machines:
            self.accounts.add(machine, "first")
        self.world.pass_time(LATE)

    @property
    def node(self) -> Machine:
        return self.world.machines[0]

    @property
    def other(self) -> Machine:
        return self.world.machines[1]

    def edit(self, **fields: Any) -> None:
        """Change the pool."""
        self.world.admin(
            lambda engine: engine.administration.edit_pool("pods", lambda old: replace(old, **fields), None)
        )

    def free(self, machine: Machine) -> set[int]:
        """The numbers of the free seats of a node's store."""
        return {number for number, state in machine.store.states().items() if state == layout.FREE}

    def mend_and_compare(self) -> None:
        """What holds after every order."""
        self.world.run(self.world.service.start())
        for machine in self.world.machines:
            machine.link.is_cut = False
            machine.link.fates.clear()
            machine.start_agent()
        self.accounts.settle()
        self.accounts.compare()
        self.accounts.end_all()
        self.edit(lease=0)
        self.world.pass_time(90)
        self.accounts.expect_nothing()


@pytest.fixture
def played() -> Iterator[Played]:
    made = Played()
    try:
        yield made
        made.mend_and_compare()
    finally:
        made.world.close()


def test_a_node_that_booted_and_is_asked_for_nothing_gives_back_what_it_had(played: Played) -> None:
    had = played.world.leased()
    assert had > 0

    played.accounts.power_cut(played.node)
    played.accounts.power_cut(played.other)
    played.world.pass_time(5)
    played.edit(lease=0)
    played.world.pass_time(60)

    assert played.world.leased() == 0
    played.edit(lease=64)


def test_an_address_that_a_node_holds_in_advance_is_excluded_and_given_back(played: Played) -> None:
    [address, *_] = [row.address for row in played.world.rows() if row.is_free_seat]
    played.node.link.is_cut = played.other.link.is_cut = True

    played.edit(exclusions=(AddressRange(address, address),))
    played.node.link.is_cut = played.other.link.is_cut = False
    played.world.pass_time(60)

    assert ip_address(address) not in {row.address for row in played.world.rows()}
