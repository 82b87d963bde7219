"""32 clients of four replicas that are killed: quotas, a hold, owners, prefixes and waiting in one pool."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from ipaddress import IPv4Address

import httpx
import pytest

from tests.faults.clients import NOTHING_FREE, TRY_AGAIN, Caller, Unanswered
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.killing import RandomClient, Watch, run_while_replicas_are_killed
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas
from tests.waiting import eventually

CLIENTS = 32
KILLS = 2
TEAMS = 3
LIMIT = 4
"""Of each team, in the cluster and beside it."""
HELD = 12
OWNERS = 5
PREFIX = 29
HELD_BY_TWO = 101
USED_UP = 106

LIVE = """
SELECT encode(address, 'hex'), coalesce(prefix_length, 32), slot, coalesce(owner, held_for),
       coalesce(cluster, ''), namespace, hold
FROM allocation WHERE until IS NULL
"""


class Pod(RandomClient):
    """Its containers are pods of a team, of the crew that has a hold, of a VM, or want a prefix beside."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        super().__init__(number, ports)
        self.codes: Counter[int] = Counter()
        self.prefixes = 0
        self._kinds = dict(zip(self.names, ("team", "crew", "vms", "nested"), strict=True))

    def call(self, caller: Caller, name: str) -> None:
        kind = self._kinds[name]
        namespace = f"team-{int(caller.node.name.split('-')[1]) % TEAMS}" if kind == "team" else kind
        body = caller.body(name, args=f"K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}")
        cni: dict[str, object] = {}
        if kind == "vms":
            cni["owner"] = f"vm-{sum(map(ord, name)) % OWNERS}"
        if kind == "nested":
            cni["prefix"] = PREFIX
        body["config"]["args"] = {"cni": cni}
        answer = caller.call("add" if self.random.random() < 0.6 else "del", body)
        assert answer.code in (0, TRY_AGAIN, NOTHING_FREE, HELD_BY_TWO, USED_UP), answer
        self.codes[answer.code] += 1
        self.prefixes += "ipamd.io/prefixes" in answer.body


class Machine(RandomClient):
    """Waits by REST for addresses of a team, and gives them back. What was not answered it asks again."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        super().__init__(number, ports)
        self.served = self.refused = 0
        self._ports = ports
        self._team = f"team-{number % TEAMS}"
        self._held: list[int] = []
        self._key = 0

    def call(self, caller: Caller, name: str) -> None:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{self.random.choice(self._ports)}") as http:
                wants = len(self._held) < 3 and self.random.random() < 0.6
                self.take(http) if wants else self.give_back(http)
        except httpx.HTTPError as error:
            raise Unanswered(repr(error)) from error

    def take(self, http: httpx.Client) -> None:
        body = {"owner": self.names[0], "pool": "pods", "namespace": self._team}
        headers = {"Prefer": "wait=2", "Idempotency-Key": f"{self.names[0]}-{self._key}"}
        answer = http.post("/v1/allocations", json=body, headers=headers, timeout=60)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Unanswered(answer.text)
        self._key += 1
        if answer.status_code == httpx.codes.CREATED:
            self._held.append(answer.json()["id"])
            self.served += 1
        else:
            assert answer.json()["code"] in ("nothing-free", "quota-exceeded"), answer.text
            self.refused += 1

    def give_back(self, http: httpx.Client) -> None:
        if self._held:
            answer = http.delete(f"/v1/allocations/{self._held[0]}", timeout=60)
            assert answer.status_code in (204, 503), answer.text
            self._held = self._held[answer.status_code == httpx.codes.NO_CONTENT :]


class PolicyWatch(Watch):
    """Looks at all promises in one snapshot."""

    def look(self) -> None:
        holders: dict[IPv4Address, dict[int, str]] = defaultdict(dict)
        taken: Counter[IPv4Address] = Counter()
        teams: Counter[tuple[str, str]] = Counter()
        held: Counter[str] = Counter()
        for address, length, slot, owner, cluster, namespace, hold in self.tables.rows(LIVE):
            first, size = IPv4Address(bytes.fromhex(str(address))), 1 << (32 - int(str(length)))
            holders[first][int(str(slot))] = str(owner)
            if int(str(slot)):
                continue
            taken.update(first + each for each in range(size))
            teams[str(cluster), str(namespace)] += size
            if hold:
                held[str(namespace)] += size
        assert max(taken.values(), default=0) <= 1, taken
        assert all(count <= LIMIT for (_, team), count in teams.items() if team.startswith("team-")), teams
        assert sum(held.values()) == HELD, held
        assert set(held) <= {"crew", "None", ""}, held
        for address, slots in holders.items():
            assert 0 in slots, (address, slots)
            assert len(slots) <= 3, (address, slots)
            assert len(slots) == 1 or len(set(slots.values())) == 1, (address, slots)


def made(answer: httpx.Response) -> None:
    assert answer.status_code == httpx.codes.CREATED, answer.text


def state_policy(replicas: Sequence[IpamdProcess]) -> None:
    """A quota for each team, and a hold for the crew."""
    quota = {"name": "each", "limit": LIMIT, "namespaces": ["team-*"]}
    made(replicas[0].http.post("/v1/quotas", json=quota))
    hold = {"name": "crew", "size": HELD, "pool": "pods", "namespaces": ["crew"], "seconds": 3600}
    made(replicas[1].http.post("/v1/holds", json=hold))


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_all_of_policy_holds_at_once_while_replicas_are_killed(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database), 4) as replicas:
        replicas[0].create_pool("pods", "10.1.0.0/25", cooldown=0)
        state_policy(replicas)
        tables = PostgresTables(postgres, database)
        watch, ports = PolicyWatch(tables), [each.port for each in replicas]
        pods = [Pod(number, ports) for number in range(CLIENTS * 3 // 4)]
        machines = [Machine(number, ports) for number in range(CLIENTS * 3 // 4, CLIENTS)]

        run_while_replicas_are_killed(replicas, [*pods, *machines], watch, KILLS)

        watch.look()
        assert watch.looks > KILLS
        codes = sum((pod.codes for pod in pods), Counter[int]())
        assert {NOTHING_FREE, HELD_BY_TWO, USED_UP} <= set(codes), codes
        assert sum(pod.prefixes for pod in pods) > 0
        assert sum(machine.served for machine in machines) > 0
        eventually(lambda: tables.rows("SELECT number FROM waiter") == [])
        assert replicas[0].contradictions() == []
