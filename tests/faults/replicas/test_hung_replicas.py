"""A replica that hangs, connections that are cut: nobody waits long, and nothing is lost or given twice."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.faults.clients import TRY_AGAIN, Caller, Node, at_once
from tests.faults.ledger import compare
from tests.faults.replicas.clients import WAIT_SECONDS, clients_at
from tests.faults.replicas.cluster import Cluster
from tests.service import standing_still

CALL_SECONDS = 6.0  # twice what a replica that hangs may hold anybody up


@contextmanager
def stopped_inside_a_transaction(cluster: Cluster) -> Iterator[None]:
    """The first replica, stopped while it has locked a block."""
    pid = cluster.replicas[0].process and cluster.replicas[0].process.pid
    holds = """SELECT 1 FROM pg_stat_activity WHERE datname = ? AND state = 'idle in transaction'
               AND xact_start < now() - interval '20 ms'
               AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'block'::regclass
                           AND mode = 'RowShareLock')"""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        assert time.monotonic() < deadline, f"ipamd {pid} was never stopped inside a transaction"
        with standing_still(cluster.replicas[0]):
            time.sleep(0.05)
            if cluster.tables.rows(holds, cluster.database):
                yield
                return
        time.sleep(random.uniform(0.001, 0.02))


def test_a_replica_that_hangs_inside_a_transaction_stops_nobody_for_long(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/26", block_size=26, cooldown=0)
    others = [Caller(port, Node(f"other-{port}"), ["pods"]) for port in cluster.ports[1:]]

    with clients_at(cluster.ports[0]) as clients:
        with stopped_inside_a_transaction(cluster):
            answers = at_once([partial(caller.add, "c", timeout=CALL_SECONDS) for caller in others])
        time.sleep(0.5)  # it goes on, with what it had in hand

    assert [answer.code for answer in answers] == [0, 0, 0]
    for caller in others:
        assert caller.delete("c").code == 0
        caller.close()
    compare([client.ledger for client in clients], cluster.tables)


def test_connections_that_are_cut_lose_nothing(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()"""

    with clients_at(*cluster.ports) as clients:
        for _ in range(8):
            time.sleep(0.2)
            assert cluster.tables.rows(cut)
        deadline = time.monotonic() + WAIT_SECONDS
        while sum(client.ledger.answered for client in clients) < 100:
            assert time.monotonic() < deadline, "hardly a call is answered"
            time.sleep(0.1)

    compare([client.ledger for client in clients], cluster.tables)
    for replica in cluster.replicas:
        assert replica.http.get("/readyz").is_success


def test_a_replica_is_not_ready_while_the_database_is_away_and_serves_again_when_it_is_back(
    cluster: Cluster,
) -> None:
    cluster.create_pool("pods", "10.0.0.0/24")
    caller = Caller(cluster.ports[0], Node("node-0"), ["pods"])
    named = f"datname = '{cluster.database}'"

    cluster.server.sql(f"UPDATE pg_database SET datallowconn = false WHERE {named}")
    cluster.server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {named}")
    try:
        answer = cluster.replicas[0].http.get("/readyz")
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        assert caller.add("c").code == TRY_AGAIN
    finally:
        cluster.server.sql(f"UPDATE pg_database SET datallowconn = true WHERE {named}")

    assert caller.add("c").code == 0
    assert cluster.replicas[0].http.get("/readyz").is_success
    caller.close()


@pytest.mark.parametrize("own", [1, 2])
def test_a_killed_replica_leaves_nothing_locked(cluster: Cluster, own: int) -> None:
    cluster.create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
    caller = Caller(cluster.ports[3], Node("node-3"), ["pods"])

    with clients_at(cluster.ports[0]) as clients:
        time.sleep(0.3)
        cluster.replicas[0].kill()
        answer = caller.add(f"c{own}", timeout=CALL_SECONDS)
        caller.close()  # it would lie idle for longer than ipamd keeps it
        cluster.replicas[0].start()

    assert answer.code == 0
    assert caller.delete(f"c{own}").code == 0
    caller.close()
    compare([client.ledger for client in clients], cluster.tables)
