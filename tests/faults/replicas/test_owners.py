"""32 clients of four replicas that are killed: an owner's address has two holders at most, and stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.faults.clients import TRY_AGAIN, Caller
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.killing import RandomClient, Watch, run_while_replicas_are_killed
from tests.postgres import Postgres
from tests.service import running_replicas

CLIENTS = 32
OWNERS = 12
HELD_BY_TWO = 101
KILLS = 4

HOLDINGS = "SELECT address, slot, coalesce(owner, held_for) FROM allocation WHERE until IS NULL"


class Client(RandomClient):
    """Its containers name owners, now one and now another."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        super().__init__(number, ports)
        self.refused = 0
        self.seen: dict[str, set[str]] = defaultdict(set)
        self._owners = {name: f"vm-{self.random.randrange(OWNERS)}" for name in self.names}

    def call(self, caller: Caller, name: str) -> None:
        owner = self._owners[name]
        body = caller.body(name, args=f"K8S_POD_NAMESPACE=team;K8S_POD_NAME={name}")
        body["config"]["args"] = {"cni": {"owner": owner}}
        if self.random.random() < 0.5:
            answer = caller.call("del", body)
            if answer.code == 0:
                self._owners[name] = f"vm-{self.random.randrange(OWNERS)}"
        else:
            answer = caller.call("add", body)
        assert answer.code in (0, TRY_AGAIN, HELD_BY_TWO), answer
        self.refused += answer.code == HELD_BY_TWO
        if answer.addresses:
            self.seen[owner].add(answer.address)


class HoldersWatch(Watch):
    """Looks who holds what."""

    def look(self) -> None:
        holdings: dict[str, dict[str, str]] = defaultdict(dict)
        for address, slot, owner in self.tables.rows(HOLDINGS):
            holdings[str(address)][str(slot)] = str(owner)
        for address, slots in holdings.items():
            assert "0" in slots, (address, slots)
            assert len(slots) <= 3, (address, slots)
            assert len(set(slots.values())) == 1, (address, slots)


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_no_owner_loses_its_address_or_has_a_third_holder_while_replicas_are_killed(
    postgres: Postgres,
) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database), 4) as replicas:
        replicas[0].create_pool("pods", "10.1.0.0/24", cooldown=0)
        watch = HoldersWatch(PostgresTables(postgres, database))
        clients = [Client(number, [each.port for each in replicas]) for number in range(CLIENTS)]

        run_while_replicas_are_killed(replicas, clients, watch, KILLS)

        assert watch.looks > KILLS
        assert sum(client.refused for client in clients) > 0
        for number in range(OWNERS):
            seen = set.union(*(client.seen[f"vm-{number}"] for client in clients))
            assert len(seen) <= 1, f"vm-{number} had {seen}"
        assert replicas[0].contradictions() == []
