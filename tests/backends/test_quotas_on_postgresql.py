"""What only several writers make hard: a quota begins to count; older code passes no quota and no hold."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import asyncpg
import pytest

from ipamd.backends.registry import open_backend
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.engine.administration import catalogue_writer
from ipamd.engine.engine import Engine
from ipamd.models.hold import Hold
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from tests.postgres import Postgres

TEAMS = Quota(name="teams", limit=5, namespaces=("team-*",))
BEFORE_QUOTAS = 21
BEFORE_HOLDS = 28
PODS = Pool(name="pods", subnet=ip_network("10.0.0.0/24"), block_length=26)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A migrated database of a test's own; its name."""
    with postgres.copy() as name:
        yield name


async def test_a_quota_counts_once_what_began_to_write_before_it_has_ended(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_writer, "WAIT_SECONDS", 0.1)
    engine = await Engine.open(await open_backend(postgres.url(database)))
    older = await asyncpg.connect(postgres.url(database))
    await older.execute("BEGIN; UPDATE history SET counted = counted")

    made = await engine.quotas.create(TEAMS)
    assert made.counting
    assert await engine.queries.uses_of("teams", 1) == []
    await older.execute("COMMIT")
    await engine.quotas.finish()

    assert not engine.catalogue.snapshot.quotas["teams"].counting
    await older.close()
    await engine.close()


async def test_the_first_quota_shuts_out_code_that_counts_none(postgres: Postgres, database: str) -> None:
    engine = await Engine.open(await open_backend(postgres.url(database)))
    before = version(postgres, database)
    await engine.quotas.create(TEAMS)
    after = version(postgres, database)
    await engine.close()

    assert misfit(before, code=BEFORE_QUOTAS) is None
    assert "install a newer ipamd" in str(misfit(after, code=BEFORE_QUOTAS))
    assert misfit(after, code=REVISION) is None


async def test_the_first_hold_shuts_out_code_that_knows_none(postgres: Postgres, database: str) -> None:
    engine = await Engine.open(await open_backend(postgres.url(database)))
    await engine.administration.create_pool(PODS)
    before = version(postgres, database)
    await engine.holds.create(Hold(name="eve", size=2, pool="pods", namespaces=("a",), since=0, seconds=60))
    after = version(postgres, database)
    await engine.close()

    assert misfit(before, code=BEFORE_HOLDS) is None
    assert "install a newer ipamd" in str(misfit(after, code=BEFORE_HOLDS))
    assert misfit(after, code=REVISION) is None


def version(postgres: Postgres, database: str) -> SchemaVersion:
    """What the schema says of itself."""
    [row] = postgres.rows("SELECT revision, oldest_code FROM schema_version", database)
    revision, oldest_code = (int(str(number)) for number in row)
    return SchemaVersion(revision, oldest_code)
