"""Replicas that are replaced one after another, after a migration, while nodes go on calling."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from tests.cni.executable import Plugin
from tests.faults.replicas.test_versions import EXPANDING, migrate_to
from tests.node_executable import node_plugin
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas

NODES = 4
LEAST_CALLS = 40


@pytest.fixture
def replicas(postgres: Postgres, database: str) -> Iterator[list[IpamdProcess]]:
    """Two ipamd on a database of their own."""
    with running_replicas(postgres.url(database)) as made:
        yield made


def add_and_del(plugin: Plugin, ended: Event) -> tuple[int, list[bytes]]:
    """Call as a node does until told to end; how many calls there were, and what those said that failed."""
    failures: list[bytes] = []
    for number in count():
        if ended.is_set():
            return 2 * number, failures
        for verb in ("ADD", "DEL"):
            done = plugin.call(verb, CNI_CONTAINERID=f"c{number}")
            if done.code != 0:
                failures.append(done.stdout)
    raise AssertionError("count() has no end")


def test_no_call_fails_while_the_schema_grows_and_replicas_are_replaced_one_after_another(
    replicas: list[IpamdProcess], scratch: Path, postgres: Postgres, database: str
) -> None:
    replicas[0].create_pool("pods", "10.0.0.0/20", cooldown=0)
    endpoints = [replica.tcp_endpoint for replica in replicas]
    nodes = [
        Plugin(
            (str(node_plugin()),),
            scratch / f"state-{number}",
            endpoints if number % 2 else endpoints[::-1],
            more={"NODE_NAME": f"node-{number}"},
        )
        for number in range(NODES)
    ]
    ended = Event()

    with ThreadPoolExecutor(NODES) as threads:
        calling = [threads.submit(add_and_del, node, ended) for node in nodes]
        try:
            migrate_to(postgres.url(database), EXPANDING)
            for replica in [*replicas, *replicas]:
                replica.stop()
                replica.start()
        finally:
            ended.set()
        calls = [future.result() for future in calling]

    assert [failure for _, failures in calls for failure in failures] == []
    assert min(number for number, _ in calls) >= LEAST_CALLS
    assert [entry for node in nodes for entry in node.waiting() + node.set_aside()] == []
    assert replicas[0].contradictions() == []
    assert postgres.sql("SELECT count(*) FROM allocation WHERE until IS NULL", database) == [["0"]]
