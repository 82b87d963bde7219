"""Nodes that an earlier ipamd knew by names with capitals: they go on under their names in lower case."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from ipamd.backends import migrations
from ipamd.backends.interface import CatalogueChange
from ipamd.backends.registry import open_backend
from ipamd.backends.sql.schema import REVISION
from ipamd.engine.administration.tokens import TokenRequest
from ipamd.engine.engine import Engine
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.node import Node, NodeKey
from ipamd.models.outcome import Granted, Released
from ipamd.models.pool import Affinity, Pool
from ipamd.models.query import AllocationQuery, HistoryQuery
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.token import Role
from tests.postgres import Postgres

OLD, NEW = NodeKey("c", "Worker-A"), NodeKey("c", "worker-a")
POOL = Pool(name="p", subnet=ip_network("10.65.0.0/24"), block_length=28, affinity=Affinity.NODE)


def ask(node: NodeKey, container: str, uptime_ns: int) -> AllocationRequest:
    holder = Identity(node.cluster, "pods", node.name, container, "eth0")
    return AllocationRequest(holder=holder, pool_names=(("p",),), issued=Issued("boot", uptime_ns))


def release(node: NodeKey, container: str, uptime_ns: int) -> Release:
    digest = ask(node, container, uptime_ns).digest
    return Release(digest=digest, node=node, issued=Issued("boot", uptime_ns))


async def lived_under_its_old_name(url: str, *, also_under_the_new: bool) -> None:
    """What an earlier ipamd left: containers, boots, blocks, labels, a token, a contact."""
    engine = await Engine.open(await open_backend(url))
    await engine.administration.create_pool(POOL)
    await engine.tokens.create(TokenRequest(role=Role.NODE, cluster="c", node="x"))
    [token] = engine.catalogue.snapshot.tokens.values()

    async def rename(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        await catalogue.save(replace(token, node=OLD.name))
        await catalogue.save(Node(cluster=OLD.cluster, name=OLD.name, labels={"zone": "a"}))

    await engine._backend.change(rename)
    for container in ("gone", "lives"):
        assert isinstance(await engine.submit(ask(OLD, container, 10)), Granted)
    await engine.submit(release(OLD, "gone", 20))
    if also_under_the_new:
        assert isinstance(await engine.submit(ask(NEW, "newer", 30)), Granted)
    engine.heard_from(OLD)
    await engine.close()


async def goes_on_under_its_new_name(url: str) -> None:
    engine = await Engine.open(await open_backend(url))
    snapshot = engine.catalogue.snapshot
    assert {node.key: node.labels for node in snapshot.nodes.values()} == {NEW: {"zone": "a"}}
    assert [token.node for token in snapshot.tokens.values()] == [NEW.name]
    assert set(await engine.contacts()) == {NEW}
    query = HistoryQuery(cluster=NEW.cluster, node=NEW.name)
    known = {row.digest for row in (await engine.queries.history(query, None, 9)).rows}
    assert ask(NEW, "lives", 0).digest in known
    assert len(known) >= 2, "nor is forgotten what had ended"

    again = await engine.submit(ask(NEW, "lives", 40))
    assert isinstance(again, Granted)
    assert again.repeated
    freed = await engine.submit(release(NEW, "lives", 50))
    assert isinstance(freed, Released)
    assert len(freed.addresses) == 1
    left = await engine.queries.allocations(AllocationQuery(cluster="c", node=NEW.name), None, 9)
    assert ask(NEW, "lives", 0).digest not in {row.digest for row in left}
    portion = await engine.consistency.portion(None, None, repair=False)
    assert not portion.findings
    await engine.close()


OF_NAMES: Final = 10
"""The migration that renames nodes."""


def say_revision(url: str, revision: int, postgres: Postgres | None) -> None:
    """Let the schema say that it is at a revision. What later ones added does not stand in their way."""
    statements: Sequence[str] = (
        f"UPDATE schema_version SET revision = {revision}",
        f"UPDATE alembic_version SET version_num = '{revision:04d}'",
    )
    if postgres is not None:
        for statement in statements:
            postgres.sql(statement, url.rpartition("/")[2].partition("?")[0])
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("also_under_the_new", [False, True])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_node_with_capitals_goes_on_in_lower_case(
    request: pytest.FixtureRequest, scratch: Path, kind: str, also_under_the_new: bool
) -> None:
    if kind == "sqlite":
        server, url = None, f"sqlite:///{scratch / 'x.sqlite'}"
        migrations.upgrade(url)
    else:
        server = request.getfixturevalue("postgres")
        url = request.getfixturevalue("postgres_database")
    asyncio.run(lived_under_its_old_name(url, also_under_the_new=also_under_the_new))
    say_revision(url, OF_NAMES - 1, server)

    version = migrations.upgrade(url, OF_NAMES)

    say_revision(url, REVISION, server)
    assert version.oldest_code == 7, "code that compares names with case would find none of it"
    asyncio.run(goes_on_under_its_new_name(url))


def test_a_database_without_capitals_still_serves_older_replicas(scratch: Path) -> None:
    assert migrations.upgrade(f"sqlite:///{scratch / 'x.sqlite'}").oldest_code == 1
