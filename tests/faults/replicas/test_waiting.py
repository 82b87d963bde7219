"""32 that wait at four replicas, which are killed: in their order, no address twice, and nobody for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.faults.replicas.cluster import PostgresTables
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas
from tests.waiting import eventually

WAITERS = 32
KILLED = 1
"""The replica that is killed: a quarter of all wait there."""

IN_LINE = "SELECT owner FROM waiter ORDER BY number"
HELD = "SELECT address, count(*) FROM allocation WHERE until IS NULL GROUP BY address"
LIVE = "SELECT id, owner FROM allocation WHERE until IS NULL ORDER BY id"


def wait(replica: IpamdProcess, owner: str) -> httpx.Response | None:
    """Wait for an address; None if the replica was killed meanwhile."""
    transport = httpx.HTTPTransport(uds=str(replica.socket))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=600) as http:
        try:
            return http.post(
                "/v1/allocations", json={"owner": owner, "pool": "tiny"}, headers={"Prefer": "wait=500"}
            )
        except httpx.TransportError:
            return None


@contextmanager
def passing_by(replica: IpamdProcess) -> Iterator[None]:
    """Somebody who does not wait takes an address now and then, and gives it back."""
    enough = threading.Event()

    def work() -> None:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(replica.socket)), base_url="http://localhost", timeout=60
        ) as http:
            while not enough.is_set():
                taken = http.post("/v1/allocations", json={"owner": "passer", "pool": "tiny"})
                if taken.status_code == httpx.codes.CREATED:
                    http.delete(f"/v1/allocations/{taken.json()['id']}")
                time.sleep(0.1)

    with ThreadPoolExecutor(1) as threads:
        passer = threads.submit(work)
        try:
            yield
        finally:
            enough.set()
        passer.result()


@pytest.mark.timeout(600)
def test_those_who_wait_are_served_in_order_while_a_replica_is_killed(postgres: Postgres) -> None:
    with (
        postgres.migrated() as database,
        running_replicas(postgres.url(database), 4) as replicas,
        ThreadPoolExecutor(WAITERS) as threads,
    ):
        tables = PostgresTables(postgres, database)
        replicas[0].create_pool("tiny", "10.1.0.0/29", cooldown=0)
        for number in range(5):
            body = {"owner": f"holder-{number}", "pool": "tiny"}
            assert replicas[0].http.post("/v1/allocations", json=body).status_code == 201
        waiting: dict[str, Future[httpx.Response | None]] = {}
        for number in range(WAITERS):
            owner = f"vm-{number:02}"
            waiting[owner] = threads.submit(wait, replicas[number % 4], owner)
            eventually(lambda: tables.rows(IN_LINE)[-1:] == [(owner,)])  # noqa: B023 - it is awaited here
        eventually(lambda: all(usage(each) == WAITERS for each in replicas))

        with passing_by(replicas[0]):
            serve(replicas[2], tables, 6)
            replicas[KILLED].kill()
            replicas[KILLED].start()
            left = WAITERS - len([each for each in waiting.values() if each.done()])
            serve(replicas[3], tables, left)
            answers = {owner: each.result(60) for owner, each in waiting.items()}

        served = {owner: answer for owner, answer in answers.items() if answer is not None}
        assert all(answer.status_code == 201 for answer in served.values())
        order = sorted(served, key=lambda owner: int(served[owner].json()["id"]))
        assert order == sorted(order)
        assert {int(owner[3:]) % 4 for owner in answers if owner not in served} <= {KILLED}
        assert len(served) >= WAITERS * 3 // 4
        eventually(lambda: tables.rows(IN_LINE) == [])  # who was served leaves the line a moment later
        assert replicas[0].contradictions() == []


def usage(replica: IpamdProcess) -> int:
    """How many wait, as a replica sees it."""
    count: int = replica.http.get("/v1/pools/tiny/usage").json()["waiting"]
    return count


def serve(replica: IpamdProcess, tables: PostgresTables, times: int) -> None:
    """Release the oldest address again and again, and see that no address is held twice."""
    for _ in range(times):
        in_line = len(tables.rows(IN_LINE))
        if not in_line:
            return
        oldest = next(number for number, owner in tables.rows(LIVE) if owner != "passer")
        replica.http.delete(f"/v1/allocations/{oldest}")
        eventually(lambda: len(tables.rows(IN_LINE)) < in_line)  # noqa: B023 - it is awaited here
        assert all(count == 1 for _, count in tables.rows(HELD))
