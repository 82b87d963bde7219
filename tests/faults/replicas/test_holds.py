"""32 clients of four replicas that are killed: a hold loses no address and gives none to others."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import httpx
import pytest

from tests.faults.clients import NOTHING_FREE, TRY_AGAIN, Caller, Node
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.killing import RandomClient, Watch, run_while_replicas_are_killed
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas
from tests.waiting import eventually

CLIENTS = 32
SIZE = 20
FREE = 62  # of the /26: all but its ends, and the gateway
KILLS = 4

OF_CREW = """
SELECT count(*) FILTER (WHERE namespace IS NOT NULL), count(*),
       count(*) FILTER (WHERE namespace IS NOT NULL AND namespace <> 'crew')
FROM allocation WHERE until IS NULL AND hold = 'crew'
"""


class Client(RandomClient):
    """Its containers are of the namespace that has a hold, or of another one."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        super().__init__(number, ports)
        self.namespace = "crew" if number % 2 else "others"
        self.refused = 0

    def call(self, caller: Caller, name: str) -> None:
        named = {"args": f"K8S_POD_NAMESPACE={self.namespace};K8S_POD_NAME={name}"}
        answer = caller.add(name, **named) if self.random.random() < 0.7 else caller.delete(name, **named)
        assert answer.code in (0, TRY_AGAIN, NOTHING_FREE), answer
        self.refused += answer.code == NOTHING_FREE


class HoldWatch(Watch):
    """Looks what the hold has, and who has it."""

    def look(self) -> None:
        taken, every, strangers = self.held()
        assert (every, strangers) == (SIZE, 0), (taken, every, strangers)

    def held(self) -> tuple[int, int, int]:
        """How many addresses workloads have out of it, how many it has in all, how many strangers have."""
        [row] = self.tables.rows(OF_CREW)
        taken, every, strangers = (int(str(count)) for count in row)
        return taken, every, strangers


class Admin:
    """Makes and releases holds, at any of the replicas."""

    def __init__(self, replicas: Sequence[IpamdProcess]) -> None:
        self._replicas = replicas
        self.made = 0

    def run(self, enough: threading.Event) -> None:
        """Work until it is enough."""
        turn = 0
        while not enough.is_set():
            turn += 1
            body = {
                "name": f"h{turn % 3}",
                "size": 3,
                "pool": "pods",
                "namespaces": ["nobody"],
                "seconds": 600,
            }
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{self._replicas[turn % 4].port}") as http:
                    self.made += http.post("/v1/holds", json=body, timeout=20).status_code == 201
                    http.delete(f"/v1/holds/h{(turn + 1) % 3}", timeout=20)
            except httpx.HTTPError:
                continue  # that replica was killed


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_hold_is_whole_while_replicas_are_killed(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database), 4) as replicas:
        replicas[0].create_pool("pods", "10.1.0.0/26", cooldown=0)
        body = {"name": "crew", "size": SIZE, "pool": "pods", "namespaces": ["crew"], "seconds": 3600}
        assert replicas[0].http.post("/v1/holds", json=body).status_code == 201
        watch, admin = HoldWatch(PostgresTables(postgres, database)), Admin(replicas)
        clients = [Client(number, [each.port for each in replicas]) for number in range(CLIENTS)]
        beside = threading.Event()
        making = threading.Thread(target=admin.run, args=(beside,))
        making.start()
        try:
            run_while_replicas_are_killed(replicas, clients, watch, KILLS)
        finally:
            beside.set()
            making.join()

        assert watch.looks > KILLS
        assert admin.made > 0
        assert sum(client.refused for client in clients) > 0
        eventually(lambda: only_standing(replicas[1]), 100)
        assert replicas[0].contradictions() == []
        caller = Caller(replicas[0].port, Node("last"), ["pods"])
        answers = [
            caller.add(f"last-{number}", args="K8S_POD_NAMESPACE=crew;K8S_POD_NAME=last")
            for number in range(FREE)
        ]
        assert NOTHING_FREE in {answer.code for answer in answers}
        assert watch.held() == (SIZE, SIZE, 0)


def only_standing(replica: IpamdProcess) -> bool:
    """Whether no hold is being made or ended any more."""
    return {hold["state"] for hold in replica.http.get("/v1/holds").json()["items"]} == {"standing"}
