"""A database from before goes on: a copy is put back, or a standby takes over that lacks the last commits.

Then 50 containers live of which it knows nothing. Nobody says so: ipamd sees it by what a node was told.
Nobody else gets their addresses, and all are known again.
"""

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.faults.living_nodes import LOOKS, LivingNode, living_nodes
from tests.faults.replicas.pair import Pair
from tests.network.namespace import MakeNamespace
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(200)

SINCE = 25
"""Containers of each node of which the database from before knows nothing."""

TRY_AGAIN = 11
POOLS = itertools.cycle(["any", "node"])


def make_pools(service: IpamdProcess) -> None:
    service.create_pool("any", "10.1.0.0/24", cooldown=0)
    service.create_pool("node", "10.2.0.0/24", affinity="node", block_size=29, cooldown=0)


def start_containers(node: LivingNode, name: str, count: int) -> None:
    for number in range(count):
        node.starts(f"{name}{number}", next(POOLS))


def nobody_gets_what_lives(service: IpamdProcess, early: LivingNode, late: LivingNode) -> None:
    """Let the one node speak and ask, then the other; all that lives must be known, and live alone."""
    eventually(lambda: service.http.get("/v1/restore").json()["began"] is not None)
    assert "was told" in service.http.get("/v1/restore").json()["cause"]
    eventually(lambda: silent(service) == [late.name])
    for pool in ("any", "node"):
        refused = early.tries(f"refused-{pool}", pool)
        assert (refused.code, refused.json["code"]) == (1, TRY_AGAIN)
        assert "not all nodes have said yet" in refused.json["details"]

    late.agent.start()

    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    for node in (early, late):
        start_containers(node, "new", 10)
    compare(service, [early, late])


def silent(service: IpamdProcess) -> list[str]:
    return [each["name"] for each in service.http.get("/v1/restore").json()["silent"]]


def compare(service: IpamdProcess, nodes: Sequence[LivingNode]) -> None:
    """Each container that lives has its address alone, by what nodes were told and by the tables."""
    living = {(node.name, each): address for node in nodes for each, address in node.addresses.items()}
    assert len(set(living.values())) == len(living)
    held = {
        (row["node"], row["container_id"]): row["address"].partition("/")[0] for row in service.allocations()
    }
    assert held == living
    assert service.contradictions() == []


def test_a_copy_of_a_sqlite_file(scratch: Path, make_namespace: MakeNamespace) -> None:
    copy = scratch / "copy"
    with (
        running_service(scratch, "--leak-grace", LOOKS) as service,
        living_nodes(scratch, make_namespace, a=service.endpoint, b=service.endpoint) as [early, late],
    ):
        make_pools(service)
        for node in (early, late):
            start_containers(node, "old", 2)
        with closing(sqlite3.connect(service.database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        for node in (early, late):
            start_containers(node, "since", SINCE)
            node.looks()
        late.agent.stop()

        service.stop()
        for name in ("", "-wal", "-shm"):
            Path(f"{service.database}{name}").unlink(missing_ok=True)
        copy.rename(service.database)
        service.start()

        nobody_gets_what_lives(service, early, late)


def test_a_dump_of_a_postgresql_database(
    scratch: Path, make_namespace: MakeNamespace, postgres: Postgres, database: str
) -> None:
    with (
        running_service(scratch, "--leak-grace", LOOKS, database_url=postgres.url(database)) as service,
        living_nodes(scratch, make_namespace, a=service.endpoint, b=service.endpoint) as [early, late],
    ):
        make_pools(service)
        for node in (early, late):
            start_containers(node, "old", 2)
        dump = postgres.dump(database)
        for node in (early, late):
            start_containers(node, "since", SINCE)
            node.looks()
        late.agent.stop()

        service.stop()
        postgres.put_back(database, dump)
        service.start()

        nobody_gets_what_lives(service, early, late)


def test_a_standby_that_lacks_the_last_commits(
    scratch: Path, make_namespace: MakeNamespace, pair: Pair
) -> None:
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(running_service(None, "--leak-grace", LOOKS, database_url=pair.url))
            for _ in range(2)
        ]
        one, other = replicas
        early, late = stack.enter_context(
            living_nodes(scratch, make_namespace, a=one.endpoint, b=other.endpoint)
        )
        make_pools(one)
        for node in (early, late):
            start_containers(node, "old", 2)
        pair.cut()
        for node in (early, late):
            start_containers(node, "since", SINCE)
            node.looks()
        late.agent.stop()

        pair.fail_over()

        nobody_gets_what_lives(one, early, late)
