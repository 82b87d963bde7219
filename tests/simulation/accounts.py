"""What runtimes and admins did, and what ipamd's tables and history must say of it in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from ipamd.engine.allocation.collection import Eviction
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import NotFound
from ipamd.models.identity import Identity
from ipamd.models.query import AllocationQuery
from ipamd.models.request import Release
from tests.simulation.machine import Call, Ended, Machine, Snapshot
from tests.simulation.network import LATER
from tests.simulation.time import NS
from tests.simulation.world import Stay, World

LATER_US: Final = int(LATER * 1_000_000)
"""What is said of a moment is wrong by the time that a report is on its way."""

NEAR: Final = 1_000_000
"""A report comes within a second, and what it says is right to less, in microseconds."""

FOREVER: Final = 1 << 60

AGAIN: Final = 11
"""The code of "try again later"."""


@dataclass
class Accounts:
    """The accounts of all runtimes."""

    world: World
    tried: set[tuple[str, str]] = field(default_factory=set)
    """Containers whose ADD has failed or was killed, so that nobody knows what it did."""
    deleted: dict[tuple[str, str], int] = field(default_factory=dict)
    """When the last DEL of a container was sent."""
    unknown: list[Stay] = field(default_factory=list)
    """Stays of which ipamd may know nothing, for a store was lost."""
    has_lost_stores: bool = False

    def add(self, machine: Machine, container: str, **how: Any) -> Ended:
        """An ADD, which may fail only by "try again" or for want of addresses."""
        ended = self.world.add(machine, container, **how)
        self._note(machine, container, ended)
        return ended

    def wake(self, machine: Machine, call: Call, began: int) -> None:
        """An ADD goes on that was started at that moment. Its time may be over."""
        key = machine.identity, call.container
        is_given_up = key in self.world.living or self.deleted.get(key, 0) >= began
        ended = machine.finish(call)
        if ended.code == 0 and is_given_up:
            self.tried.add(key)  # nobody hears it: a DEL or another ADD was sent since
        elif ended.code == 0:
            self.world.heard(machine, call.container, began, ended)
        self._note(machine, call.container, ended)

    def _note(self, machine: Machine, container: str, ended: Ended) -> None:
        assert ended.code in (0, None, AGAIN, 100, 102, 104), ended
        if ended.code != 0:
            self.tried.add((machine.identity, container))

    def delete(self, machine: Machine, container: str, **how: Any) -> None:
        """A DEL, which is repeated if it was killed."""
        self.deleted[machine.identity, container] = self.world.now()
        if self.world.delete(machine, container, **how).code is None:
            self.world.delete(machine, container)

    def check(self, machine: Machine, container: str) -> None:
        """A CHECK of a living container finds what it has, if anybody answers."""
        stay = self.world.living.get((machine.identity, container))
        if stay is None or stay in self.unknown:
            return
        previous = {"cniVersion": "1.0.0", "ips": [{"address": f"{each}/28"} for each in stay.addresses]}
        config = json.loads(machine.config()) | {"prevResult": previous}
        call = machine.begin("CHECK", container, json.dumps(config).encode())
        assert machine.finish(call).code in (0, AGAIN)

    def power_cut(self, machine: Machine) -> None:
        """The containers end, and get their DEL later. What was not reported nobody may ever hear."""
        self._forget_unreported(machine)
        self.tried |= {key for key in self.world.living if key[0] == machine.identity}
        self.world.power_cut(machine)

    def lose_store(self, machine: Machine) -> None:
        """The store is damaged, and is replaced by another one."""
        if not machine.path.exists():
            return
        self._forget_unreported(machine)
        self.has_lost_stores = True
        machine.path.unlink()

    def retire(self, machine: Machine) -> None:
        """A machine ends its containers, and its agent."""
        for identity, container in [*self.world.living, *self.tried]:
            if identity == machine.identity:
                self.delete(machine, container)
        self.world.pass_time(5)
        machine.kill_agent()

    def remove(self, machine: Machine) -> None:
        """A machine ends its containers, and never comes back."""
        self.retire(machine)
        self.world.machines.remove(machine)
        self.world.retired.append(machine)

    def put_back(self, machine: Machine, snapshot: Snapshot) -> None:
        """A virtual machine is put back with its memory. Of what it did since nobody is left on it.

        Its containers end, for the addresses that they had then may be others' by now. Until its clock has
        come to where it was, ipamd takes what it says for old.
        """
        rewound = machine.uptime - snapshot.uptime
        for stay in list(self.world.living.values()):
            if stay.machine is machine:
                self.world.ends(machine, stay.container)
        self.forget(machine)
        machine.put_back(snapshot)
        self.world.pass_time(60 + rewound / NS)
        for identity, container in sorted(self.tried):
            if identity == machine.identity:
                self.delete(machine, container)

    def forget(self, machine: Machine) -> None:
        """What a machine did until now nobody may ever hear, and its lease is another one from now on."""
        self.unknown += [stay for stay in self.world.stays if stay.machine is machine]
        self.tried |= {(machine.identity, stay.container) for stay in self.unknown}
        self.has_lost_stores = True

    def _forget_unreported(self, machine: Machine) -> None:
        unreported = {event["request"]["container_id"] for event in machine.unreported()}
        self.tried |= {(machine.identity, container) for container in unreported}
        self.unknown += [
            stay for stay in self.world.stays if stay.machine is machine and stay.container in unreported
        ]

    def release(self, machine: Machine, container: str) -> None:
        """An admin releases a container's row: it has no right to its address any more."""
        query = AllocationQuery(container_id=container, node=machine.name)
        rows = self.world.admin(lambda engine: engine.queries.allocations(query, None, 10))
        for row in rows:
            release = Release(digest=row.digest, ending=Ending.ADMIN, allocation=row.id)
            self.world.admin(lambda engine, release=release: engine.submit(release))  # type: ignore[misc]
        if rows:
            self._give_up(machine, container)

    def _give_up(self, machine: Machine, container: str) -> None:
        stay = self.world.living.get((machine.identity, container))
        if stay is not None:
            self.unknown.append(stay)
        self.world.ends(machine, container)
        self.tried.add((machine.identity, container))

    def evict(self, eviction: Eviction, *, for_good: bool) -> None:
        """An admin releases or removes a node that is off, if ipamd knows it."""
        with suppress(NotFound):
            if for_good:
                self.world.admin(lambda engine: engine.removal.remove(eviction, even_if_alive=True))
            else:
                self.world.admin(lambda engine: engine.removal.release(eviction, even_if_alive=True))

    def settle(self) -> None:
        """Everybody has time, runtimes send DEL for what failed, and spools are delivered."""
        self.world.pass_time(90)
        for machine in self.world.machines:
            for identity, container in sorted(self.tried):
                if identity == machine.identity and (identity, container) not in self.world.living:
                    self.delete(machine, container)
            for _ in range(10):
                machine.call("CHECK", "nobody")
            assert not machine.waiting()
        self.world.pass_time(20)

    def compare(self) -> None:
        """Tables and history say what was."""
        lost = {(stay.machine.name, stay.container) for stay in self.unknown}
        living = {
            (stay.machine.name, stay.container): set(stay.addresses)
            for stay in self.world.living.values()
            if stay not in self.unknown
        }
        held = {key: have for key, have in self.world.held().items() if key in living or key not in lost}
        assert held == living, (held, living)
        past = self.world.history()
        by_holder: defaultdict[tuple[str, str, str], list[Allocation]] = defaultdict(list)
        by_address: defaultdict[str, list[Allocation]] = defaultdict(list)
        for row in past:
            by_address[str(row.address)].append(row)
            if isinstance(row.holder, Identity):
                by_holder[row.holder.node, row.holder.container_id, str(row.address)].append(row)
        for stay in self.world.stays:
            if stay not in self.unknown:
                for address in stay.addresses:
                    _is_told(stay, by_holder[stay.machine.name, stay.container, address])
        for rows in by_address.values():
            for former, later in pairwise(sorted(rows, key=lambda row: (row.since, row.until or FOREVER))):
                assert former.until is not None, (former, later)
                assert former.until <= later.since, (former, later)
        self._nobody_else(past)

    def _nobody_else(self, past: Collection[Allocation]) -> None:
        """History has no container that nobody asked for."""
        asked = {(stay.machine.name, stay.container) for stay in self.world.stays}
        names = {each.identity: each.name for each in (*self.world.machines, *self.world.retired)}
        asked |= {(names[identity], container) for identity, container in self.tried}
        for row in past:
            if isinstance(row.holder, Identity):
                assert (row.holder.node, row.holder.container_id) in asked, row

    def end_all(self) -> None:
        """All containers end, and machines whose store was lost boot anew."""
        for stay in list(self.world.living.values()):
            self.delete(stay.machine, stay.container)
        self.world.pass_time(20)
        if self.has_lost_stores:
            for machine in self.world.machines:
                self.world.power_cut(machine)
            self.world.pass_time(60)

    def expect_nothing(self) -> None:
        """Nobody has any address, and nothing contradicts."""
        usage = self.world.admin(lambda engine: engine.queries.usage("pods"))
        assert (usage.leased, usage.allocated) == (0, 0), (usage, self.world.rows())
        for machine in self.world.machines:
            if machine.is_agent_there and machine.path.exists():
                assert not machine.store.states(), machine.name
        assert not self.world.contradictions()


def _is_told(stay: Stay, rows: Collection[Allocation]) -> None:
    """History has the whole stay."""
    end, late = stay.ended, LATER_US if stay.machine.link.was_late else 0
    assert any(
        row.since <= stay.begun + late + NEAR
        and (row.until is None or (end is not None and row.until >= end - NEAR))
        for row in rows
    ), (stay, rows)
