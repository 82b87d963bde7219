"""32 clients of four replicas that are killed: no quota is passed by one, and all of it can be had."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.faults.at_work import at_work
from tests.faults.clients import TRY_AGAIN, Caller, Node
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.killing import RandomClient, Watch, run_while_replicas_are_killed
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas

CLIENTS = 32
TEAMS = 4
LIMIT = 6
SHARED = 20
USED_UP = 106
KILLS = 4

HELD = "SELECT namespace, count(*) FROM allocation WHERE until IS NULL GROUP BY namespace"


class Client(RandomClient):
    """Its containers are of the namespaces of all teams."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        super().__init__(number, ports)
        self.used_up = 0
        self._teams = dict(zip(self.names, range(TEAMS), strict=True))

    def call(self, caller: Caller, name: str) -> None:
        team = {"args": f"K8S_POD_NAMESPACE=team-{self._teams[name]};K8S_POD_NAME={name}"}
        answer = caller.add(name, **team) if self.random.random() < 0.7 else caller.delete(name, **team)
        assert answer.code in (0, TRY_AGAIN, USED_UP), answer
        self.used_up += answer.code == USED_UP


class TeamsWatch(Watch):
    """Looks who holds how many."""

    def look(self) -> None:
        held = self.held()
        assert max(held.values(), default=0) <= LIMIT, held
        assert sum(held.values()) <= SHARED, held

    def held(self) -> dict[str, int]:
        """How many addresses each team has."""
        return {str(team): int(str(count)) for team, count in self.tables.rows(HELD)}


def state(replica: IpamdProcess, name: str, limit: int, *, shared: bool = False) -> None:
    body = {"name": name, "limit": limit, "namespaces": ["team-*"], "shared": shared}
    made = replica.http.post("/v1/quotas", json=body).json()
    assert made["counting"] is False, made


def fill(port: int) -> None:
    """Add containers of all teams until each is refused."""
    caller = Caller(port, Node("last"), ["pods"])
    for team in range(TEAMS):
        for number in range(LIMIT + 1):
            named = f"K8S_POD_NAMESPACE=team-{team};K8S_POD_NAME=last"
            if caller.add(f"last-{team}-{number}", args=named).code == USED_UP:
                break


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_no_quota_is_passed_by_one_while_replicas_are_killed(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database), 4) as replicas:
        replicas[0].create_pool("pods", "10.1.0.0/24", cooldown=0)
        state(replicas[0], "each", LIMIT)
        state(replicas[1], "all", SHARED, shared=True)
        watch = TeamsWatch(PostgresTables(postgres, database))
        clients = [Client(number, [each.port for each in replicas]) for number in range(CLIENTS)]

        run_while_replicas_are_killed(replicas, clients, watch, KILLS)

        assert watch.looks > KILLS
        assert sum(client.used_up for client in clients) > 0
        fill(replicas[0].port)
        assert sum(watch.held().values()) == SHARED
        assert replicas[0].contradictions() == []


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_counting_begins_exactly_while_pods_come_and_go(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database), 2) as replicas:
        replicas[0].create_pool("pods", "10.1.0.0/24", cooldown=0)
        clients = [Client(number, [each.port for each in replicas]) for number in range(8)]
        with at_work(*(client.run for client in clients)):
            for number in range(6):
                state(replicas[number % 2], f"q{number}", 10 * number, shared=number % 2 == 0)

        assert replicas[0].contradictions() == []
