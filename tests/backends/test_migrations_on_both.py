"""Each migration, upwards, with data in place, on SQLite and on PostgreSQL."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import create_mock_engine
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from ipamd.backends import migrations
from ipamd.backends.sql import steps
from ipamd.backends.sql.schema import METADATA, REVISION
from ipamd.backends.sql.version import SchemaVersion
from tests.postgres import Postgres, migrate

DATA: dict[int, list[str]] = {
    1: [
        """INSERT INTO pool VALUES ('pods', 'default', '10.0.0.0/24', '[]', '[]', NULL, '[]', '{}', 26, 'any',
             60000000, 'active', 0, TRUE, FALSE, '{}', 1)""",
        "INSERT INTO node VALUES ('default', 'node-1', '{}', 2)",
        "INSERT INTO boot VALUES ('default', 'node-1', 4294967296, 'a')",
        "INSERT INTO contact VALUES ('default', 'node-1', 5)",
        "INSERT INTO removed VALUES ('pool', '', 'gone', 2)",
        f"INSERT INTO block VALUES ('pods', X'{10 << 24:032x}', NULL, NULL, X'{'00' * 512}', 1, 0, 0)",
        f"INSERT INTO carving VALUES ('pods', X'{(10 << 24) + 64:034x}')",
        f"""INSERT INTO allocation (space, address, pool, place, digest, position, cluster, network, node,
             container_id, ifname, since, generation, taken_boot, taken_uptime, repeated_boot,
             repeated_uptime)
             VALUES ('default', X'0a000001', 'pods', 1, X'{"01" * 16}', 0, 'default', 'pods', 'node-1',
             'c1', 'eth0', 5, 1, 1, 1, 1, 1)""",
        f"""INSERT INTO release (digest, order_boot, order_uptime, undo, until)
             VALUES (X'{"02" * 16}', 1, 1, FALSE, 99)""",
        "INSERT INTO reservation VALUES (2, 'default', X'0a000005', X'0a000005', NULL, NULL, 'vm', NULL, 2)",
        "UPDATE catalogue SET revision = 2",
    ],
    2: [
        f"""INSERT INTO token VALUES (3, X'{"03" * 32}', 'node', NULL, 'default', 'node-1', 5, 'ann', 9,
             X'{"04" * 32}', 7, 3)""",
        "INSERT INTO token_use VALUES (3, 5)",
        "INSERT INTO removed VALUES ('token', '', '1', 3)",
    ],
    3: [
        "UPDATE allocation SET until = 9, ending = 'admin', ended_by = 'ann', reason = 'the node is gone'",
    ],
}
"""What is put into a database at each revision, in the words of that revision, before the next step.

Who adds a migration adds what only its schema can hold; a revision without an entry adds nothing.
"""

TABLES = (
    "allocation",
    "block",
    "boot",
    "carving",
    "contact",
    "node",
    "pool",
    "release",
    "removed",
    "reservation",
)


class Database(Protocol):
    """A database at no revision yet."""

    url: str

    def run(self, statement: str) -> None: ...

    def rows(self, table: str) -> list[tuple[str, ...]]: ...


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path

    def run(self, statement: str) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(statement)

    def rows(self, table: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self._path)) as connection:
            return sorted(connection.execute(f"SELECT * FROM {table}").fetchall())


class PostgresDatabase:
    def __init__(self, server: Postgres, name: str) -> None:
        self.url = server.url(name)
        self._server = server
        self._name = name

    def run(self, statement: str) -> None:
        self._server.sql(re.sub(r"X'([0-9a-f]*)'", r"'\\x\1'::bytea", statement), self._name)

    def rows(self, table: str) -> list[tuple[str, ...]]:
        return sorted(map(tuple, self._server.sql(f"SELECT * FROM {table}", self._name)))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Database]:
    """A database without a schema."""
    if request.param == "sqlite":
        yield SqliteDatabase(scratch / "ipamd.sqlite")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as name:
        yield PostgresDatabase(server, name)


def test_every_migration_leaves_what_is_there(empty: Database) -> None:
    for step in steps.history():
        kept = {table: len(empty.rows(table)) for table in TABLES if step.revision > 1}
        assert migrations.upgrade(empty.url, step.revision).revision == step.revision
        for table, count in kept.items():
            assert len(empty.rows(table)) == count, f"migration {step.revision} lost rows of {table}"
        for statement in DATA.get(step.revision, ()):
            empty.run(statement)

    assert migrations.current(empty.url).revision == REVISION
    assert [len(empty.rows(table)) for table in TABLES] == [1 + (table == "removed") for table in TABLES]
    assert len(empty.rows("token")) == len(empty.rows("token_use")) == 1


def test_code_that_knows_no_leases_cannot_end_a_row_of_one(empty: Database) -> None:
    """It would give an address to others that a node may give at any moment."""
    migrations.upgrade(empty.url)
    empty.run(
        f"""INSERT INTO allocation (space, address, pool, place, digest, position, owner, since, generation,
             taken_boot, taken_uptime, repeated_boot, repeated_uptime, seat, seat_position, free_since)
             VALUES ('default', X'0a000001', 'pods', 1, X'{"01" * 16}', 0, 'lease:default/n1/1', 5, 1, 0, 0,
             0, 0, 1, 0, 0)"""
    )

    with pytest.raises(Exception, match="allocation_seat"):
        empty.run("UPDATE allocation SET until = 9, ending = 'released'")

    empty.run("UPDATE allocation SET until = 9, ending = 'released', seat = NULL")


def test_code_that_knows_no_owners_ends_no_holder_and_no_owner_that_has_one(empty: Database) -> None:
    """It would give an address to others that a VM has."""
    migrations.upgrade(empty.url)
    columns = "space, address, pool, place, digest, position, since, generation, taken_boot, taken_uptime"
    values = f"'default', X'0a000001', 'pods', 1, X'{'01' * 16}', 0, 5, 1, 0, 0, 0, 0, 'default'"
    allocation = f"INSERT INTO allocation ({columns}, repeated_boot, repeated_uptime, cluster"
    holder = "network, node, container_id, ifname, held_for, slot"
    empty.run(f"{allocation}, owner, namespace) VALUES ({values}, 'vm', 'team')")
    values = values.replace("01" * 16, "02" * 16)
    with pytest.raises(Exception, match="slot"):
        empty.run(f"{allocation}, {holder}) VALUES ({values}, 'pods', 'n1', 'c1', 'eth0', 'vm', 3)")
    empty.run(f"{allocation}, {holder}) VALUES ({values}, 'pods', 'n1', 'c1', 'eth0', 'vm', 1)")

    for whose in ("owner IS NOT NULL", "node IS NOT NULL"):
        with pytest.raises(Exception, match=r"allocation_(owner_away|slot)"):
            empty.run(f"UPDATE allocation SET until = 9, ending = 'released' WHERE {whose}")

    empty.run("UPDATE allocation SET until = 9, ending = 'released', slot = 0 WHERE node IS NOT NULL")
    empty.run("UPDATE allocation SET away_since = 9 WHERE owner IS NOT NULL")
    empty.run("UPDATE allocation SET until = 9, ending = 'released' WHERE owner IS NOT NULL")


def test_migrating_again_changes_nothing(empty: Database) -> None:
    for step in steps.history():
        migrations.upgrade(empty.url, step.revision)
        for statement in DATA.get(step.revision, ()):
            empty.run(statement)
    before = {table: empty.rows(table) for table in TABLES}

    migrations.upgrade(empty.url)

    assert {table: empty.rows(table) for table in TABLES} == before


@pytest.mark.parametrize(
    ("oldest_code", "code", "said"),
    [
        (
            REVISION,
            0,
            f"the schema is at revision {REVISION + 2}, which a later ipamd made and this one can serve\n",
        ),
        (REVISION + 1, 1, "install a newer ipamd\n"),
    ],
)
def test_a_later_ipamds_schema_is_left_as_it_is_and_it_is_said_whether_this_one_may_serve_it(
    empty: Database, oldest_code: int, code: int, said: str
) -> None:
    migrations.upgrade(empty.url)
    empty.run(f"UPDATE schema_version SET revision = {REVISION + 2}, oldest_code = {oldest_code}")
    empty.run(f"UPDATE alembic_version SET version_num = '{REVISION + 2:04d}'")

    done = migrate(empty.url, code=code)

    assert (done.stdout or done.stderr).endswith(said)
    assert migrations.current(empty.url) == SchemaVersion(REVISION + 2, oldest_code)


SCHEMA = """
SELECT table_name, column_name, data_type, is_nullable, column_default IS NOT NULL
  FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
UNION ALL
SELECT tablename, indexname, indexdef, '', FALSE
  FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', FALSE
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'p')
  AND conrelid <> 'alembic_version'::regclass
ORDER BY 1, 2, 3
"""


def test_the_migrated_schema_of_postgresql_is_the_one_that_the_code_knows(postgres: Postgres) -> None:
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    made_by: list[str] = []
    METADATA.create_all(
        create_mock_engine(
            "postgresql+asyncpg://", lambda made, *_, **__: made_by.append(str(made.compile(dialect=dialect)))
        ),
        checkfirst=False,
    )
    with postgres.database() as made, postgres.copy() as migrated:
        postgres.sql("CREATE TABLE alembic_version (version_num TEXT)", made)
        for statement in made_by:
            postgres.sql(statement, made)
        expected = postgres.sql(SCHEMA, made)
        found = postgres.sql(SCHEMA, migrated)

    assert found == expected
    # The comparison has teeth: it sees predicates of partial indexes and checks.
    definitions = {name: definition for _, name, definition, *_ in found}
    assert definitions["allocation_one_in_slot"].endswith("WHERE (until IS NULL)")
    assert "UNIQUE" in definitions["allocation_one_in_slot"]
    assert definitions["allocation_digest"] == "CHECK ((length(digest) = 16))"
