"""Two replicas on PostgreSQL, from one version to the next and back, while nodes go on calling."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ipamd.backends.sql.schema import REVISION
from tests.faults.ledger import compare
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.upgrade.nodes import WorkingNode, await_calls, working
from tests.faults.upgrade.version import Version
from tests.postgres import Postgres, migrate
from tests.service import IpamdProcess

NODES = 3
CALLS = 4  # of each node, between one step and the next


@pytest.fixture
def database(postgres: Postgres, earlier: Version) -> Iterator[str]:
    """A database that the earlier version made; its name."""
    with postgres.database() as name:
        migrate(postgres.url(name), executables=earlier.executables)
        yield name


@pytest.fixture
def replicas(
    scratch: Path, postgres: Postgres, database: str, earlier: Version
) -> Iterator[list[IpamdProcess]]:
    """Two ipamd of the earlier version."""
    made = []
    for name in ("one", "other"):
        (scratch / name).mkdir()
        made.append(IpamdProcess(scratch / name, database_url=postgres.url(database)))
    try:
        replace(made, earlier)
        yield made
    finally:
        for replica in made:
            replica.kill()
            replica.http.close()


def replace(replicas: list[IpamdProcess], version: Version, nodes: tuple[WorkingNode, ...] = ()) -> None:
    """Stop one replica after another and start another version of it, as a rolling update does."""
    for replica in replicas:
        replica.stop()
        replica.executables = version.executables
        replica.start()
        await_calls(nodes, CALLS)


@pytest.mark.timeout(300)  # a dozen starts of ipamd
@pytest.mark.parametrize(
    ("earlier", "replaced"), [("before", 2), ("first", 1)], indirect=["earlier"], ids=["all", "one of two"]
)
def test_no_call_fails_from_one_version_to_the_next_and_back(
    replicas: list[IpamdProcess],
    scratch: Path,
    postgres: Postgres,
    database: str,
    earlier: Version,
    now: Version,
    replaced: int,
) -> None:
    replicas[0].create_pool("pods", "10.0.0.0/20", cooldown=0)
    endpoints = [replica.tcp_endpoint for replica in replicas]
    nodes = tuple(
        WorkingNode(f"node-{number}", scratch, endpoints if number % 2 else endpoints[::-1])
        for number in range(NODES)
    )
    for node in nodes:
        node.use(now)
    slow = nodes[0]  # an interpreter's start for each call: one node of that is load enough
    slow.use(earlier)

    with working(nodes):
        await_calls(nodes, CALLS)
        migrate(postgres.url(database), executables=now.executables)
        await_calls(nodes, CALLS)
        replace(replicas[:replaced], now, nodes)
        slow.use(now)
        await_calls(nodes, CALLS)
        contradictions = replicas[0].contradictions()
        shown = migrate(postgres.url(database), "--show", executables=now.executables).stdout
        replace(replicas[:replaced], earlier, nodes)
        slow.use(earlier)
        await_calls(nodes, CALLS)

    assert [failure for node in nodes for failure in node.failures] == []
    assert contradictions == []
    assert shown.startswith(f"the schema is at revision {REVISION}\n")
    assert shown.endswith("an ipamd that knows revision 1 or a later one can serve it\n")
    assert [entry for node in nodes for entry in node.plugin.waiting() + node.plugin.set_aside()] == []
    compare([node.ledger for node in nodes], PostgresTables(postgres, database))
