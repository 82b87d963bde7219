"""A schema that changes under replicas that serve, and one that they cannot serve any more."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from ipamd.backends.sql.postgres.migrating import migrate as migrate_by
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.version import SchemaVersion
from tests import loaded
from tests.faults.churn import Churn
from tests.faults.clients import Caller, Node
from tests.ports import free_port
from tests.postgres import Postgres, migrate
from tests.service import EXECUTABLES, IpamdProcess, running_service

TRY_AGAIN = 11

EXPANDING = [
    "ALTER TABLE allocation ADD COLUMN colour TEXT",
    "CREATE INDEX allocation_colour ON allocation (colour) WHERE until IS NULL AND colour IS NOT NULL",
    "CREATE TABLE colour (name TEXT PRIMARY KEY)",
    f"UPDATE schema_version SET revision = {REVISION + 1}",
]
CONTRACTING = [
    "ALTER TABLE allocation DROP COLUMN uid",
    f"UPDATE schema_version SET revision = {REVISION + 2}, oldest_code = {REVISION + 1}",
]


def migrate_to(url: str, statements: list[str]) -> SchemaVersion:
    """What `ipamd migrate` of a later version would do."""

    def step(connection: Connection, _: SchemaVersion) -> None:
        for statement in statements:
            connection.execute(text(statement))

    return asyncio.run(migrate_by(url, step))


@pytest.fixture
def replica(scratch: Path, postgres: Postgres, database: str) -> Iterator[IpamdProcess]:
    """An ipamd on a database of its own."""
    with running_service(scratch, database_url=postgres.url(database)) as service:
        yield service


def test_a_replica_of_the_version_before_serves_on_while_a_new_one_migrates(replica: IpamdProcess) -> None:
    replica.create_pool("pods", "10.0.0.0/24", cooldown=0)

    with Churn(replica.port, ["pods"]) as churn:
        churn.await_more(200)
        assert migrate_to(replica.database_url, EXPANDING) == SchemaVersion(REVISION + 1, 1)
        churn.await_more(400)

    assert all(one.answer.code == 0 for one in churn.added)
    assert replica.http.get("/readyz").is_success
    assert replica.http.get("/v1/allocations").is_success
    with running_service(database_url=replica.database_url):
        pass


def test_a_replica_stops_serving_at_a_contracting_step_with_a_sentence(
    replica: IpamdProcess, postgres: Postgres, database: str
) -> None:
    replica.create_pool("pods", "10.0.0.0/24", cooldown=0)
    caller = Caller(replica.port, Node("node-0"), ["pods"])
    assert caller.add("before").code == 0

    # What it cannot see by a column that is gone it sees by the number.
    postgres.sql(CONTRACTING[1], database)
    answer = caller.add("after")
    assert (answer.code, "install a newer ipamd" in str(answer.body)) == (TRY_AGAIN, True)
    postgres.sql(f"UPDATE schema_version SET revision = {REVISION}, oldest_code = 1", database)
    migrate_to(replica.database_url, CONTRACTING)

    answer = caller.add("after")
    assert answer.code == TRY_AGAIN
    ready = replica.http.get("/readyz")
    assert ready.status_code == 503
    assert "install a newer ipamd" in ready.text
    assert postgres.sql("SELECT container_id FROM allocation", database) == [["before"]]
    caller.close()
    assert "install a newer ipamd" in refused(replica.database_url)


def test_serve_refuses_a_schema_that_is_not_migrated_and_says_what_to_run(postgres: Postgres) -> None:
    with postgres.database() as empty:
        assert "run `ipamd migrate`" in refused(postgres.url(empty))

        assert postgres.sql("SELECT count(*) FROM pg_class WHERE relname = 'allocation'", empty) == [["0"]]


def test_several_that_migrate_at_once_all_succeed(postgres: Postgres) -> None:
    with postgres.database() as empty, ThreadPoolExecutor(4) as threads:
        done = list(threads.map(migrate, [postgres.url(empty)] * 4))

    assert {each.stdout for each in done} == {f"the schema is at revision {REVISION}\n"}


def test_a_migration_gives_way_to_those_who_use_the_table_and_goes_on_after_them(
    replica: IpamdProcess, postgres: Postgres, database: str
) -> None:
    replica.create_pool("pods", "10.0.0.0/24", cooldown=0)
    slow = "BEGIN; SELECT count(*) FROM allocation; SELECT pg_sleep(3); COMMIT"

    with Churn(replica.port, ["pods"]) as churn, ThreadPoolExecutor(1) as threads:
        reading = threads.submit(postgres.sql, slow, database)
        time.sleep(0.5)
        assert migrate_to(replica.database_url, EXPANDING).revision == REVISION + 1
        reading.result()
        churn.await_more(100)

    assert all(one.answer.code == 0 for one in churn.added)


def refused(url: str) -> str:
    """The one sentence with which `ipamd serve` ends."""
    done = loaded.run(EXECUTABLES / "ipamd", "serve", "--port", str(free_port()), "--database-url", url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    return line
