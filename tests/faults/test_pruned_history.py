"""Old history goes while calls go on, also over kills; what lives and what is young stays."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ipamd.backends import migrations
from tests.faults.churn import Churn
from tests.faults.ledger import Tables
from tests.faults.replicas.cluster import PostgresTables
from tests.postgres import Postgres
from tests.service import IpamdProcess, scratch_folder
from tests.waiting import eventually

ROWS = 1200
WAIT_SECONDS = 60.0
DAY = 24 * 60 * 60 * 1_000_000
NOW = time.time_ns() // 1000
OLD, YOUNG = NOW - 10 * DAY, NOW - 2 * DAY

PAST = f"""
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {ROWS - 1})
INSERT INTO allocation (space, address, pool, place, digest, position, cluster, network, node, container_id,
    ifname, since, until, ending, generation, taken_boot, taken_uptime, repeated_boot, repeated_uptime)
  SELECT 'past', {{address}}, 'past', 0, {{digest}}, 0, 'default', 'pods', 'node-1',
    CASE n % 3 WHEN 0 THEN 'live-' WHEN 1 THEN 'young-' ELSE 'old-' END || n,
    'eth0', {OLD} - 2 * {DAY}, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN {YOUNG} ELSE {OLD} END,
    CASE n % 3 WHEN 0 THEN NULL ELSE 'released' END, 1, 1, 1, 1, 1
  FROM number
"""
SQLITE = PAST.format(address="CAST(printf('%04d', n) AS BLOB)", digest="CAST(printf('%016d', n) AS BLOB)")
POSTGRESQL = PAST.format(
    address="convert_to(lpad(n::text, 4, '0'), 'UTF8')", digest="convert_to(lpad(n::text, 16, '0'), 'UTF8')"
)


@pytest.fixture
def scratch_service(scratch: Path) -> Iterator[IpamdProcess]:
    """A service that is not running, whose database has a past."""
    service = IpamdProcess(scratch)
    migrations.upgrade(service.database_url)
    with closing(sqlite3.connect(service.database)) as connection, connection:
        connection.execute(SQLITE)
    try:
        yield service
    finally:
        service.kill()
        service.http.close()


def kept(tables: Tables) -> dict[str, int]:
    """How many of the rows of each kind are left."""
    rows = tables.rows(
        "SELECT substr(container_id, 1, 4), count(*) FROM allocation WHERE space = 'past' GROUP BY 1"
    )
    return {str(kind): int(str(count)) for kind, count in rows}


def _is_down_to(tables: Tables, left: int) -> bool:
    return kept(tables).get("old-", 0) <= left


def start_pruning(service: IpamdProcess) -> None:
    service.options = ("--history-days", "5")
    service.start()


WHOLE = {"live": ROWS // 3, "youn": ROWS // 3, "old-": ROWS // 3}
PRUNED = {"live": ROWS // 3, "youn": ROWS // 3}


def test_pruning_survives_kills_and_keeps_what_lives_and_what_is_young(scratch_service: IpamdProcess) -> None:
    tables = Tables(scratch_service.database)
    assert kept(tables) == WHOLE

    for left in (360, 200):
        start_pruning(scratch_service)
        eventually(partial(_is_down_to, tables, left))
        scratch_service.kill()
        assert {**kept(tables), "old-": 0} == {**PRUNED, "old-": 0}
        assert kept(tables)["old-"] > 0, "the kill came too late to interrupt anything"
    start_pruning(scratch_service)
    eventually(lambda: kept(tables) == PRUNED)

    [(forgotten,)] = tables.rows("SELECT forgotten FROM history")
    assert isinstance(forgotten, int)
    assert OLD < forgotten < YOUNG


def test_calls_are_answered_while_history_is_pruned(scratch_service: IpamdProcess) -> None:
    tables = Tables(scratch_service.database)
    start_pruning(scratch_service)
    scratch_service.create_pool("pods", "10.0.0.0/24", cooldown=0)

    with Churn(scratch_service.port, ["pods"]) as churn:
        eventually(lambda: kept(tables) == PRUNED)

    assert {one.answer.code for one in churn.added} == {0}
    found = {each["kind"] for each in scratch_service.contradictions() if each["pool"] == "pods"}
    assert found == set()


def test_replicas_prune_together(postgres: Postgres) -> None:
    with scratch_folder() as folder, postgres.copy() as name:
        tables = PostgresTables(postgres, name)
        postgres.sql(POSTGRESQL, name)
        replicas = []
        try:
            for number in range(2):
                own = folder / str(number)
                own.mkdir()
                replicas.append(IpamdProcess(own, database_url=postgres.url(name)))
                start_pruning(replicas[-1])
            eventually(lambda: kept(tables) == PRUNED)
        finally:
            for replica in replicas:
                replica.kill()
                replica.http.close()
        log = [line for line in postgres.log.read_text().splitlines() if f"] {name} " in line]
        assert not [line for line in log if "deadlock" in line or "ERROR:" in line]
