"""The schema that migrations make, and how a database gets to it."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ipamd.backends import migrations
from ipamd.backends.registry import open_backend
from ipamd.backends.sql import steps
from ipamd.backends.sql.schema import METADATA, REVISION
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.models.errors import DatabaseUnfit, SchemaUnfit

CHECKOUT = Path(__file__).parents[2]
LATEST = SchemaVersion(REVISION, 1)


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def definitions(connection: sqlite3.Connection) -> dict[str, tuple[list[str], str]]:
    """What each table and index is: the parts of a table in any order, and what follows them."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    )
    return {name: parts(sql) for name, sql in rows if name != "alembic_version"}


def parts(sql: str) -> tuple[list[str], str]:
    """The definition with one blank between words; a table's columns and constraints as a sorted list."""
    plain = re.sub(r"\s+", " ", sql).replace("( ", "(").replace(" )", ")")
    if not plain.startswith("CREATE TABLE"):
        return [], plain
    head, body = plain.split("(", 1)
    inner, tail = body.rsplit(")", 1)
    return sorted(part.strip() for part in re.split(r",(?![^(]*\))", inner)), head + tail


def test_the_migrated_schema_is_the_one_that_the_code_knows(scratch: Path) -> None:
    migrated_to = scratch / "migrated.sqlite"
    migrations.upgrade(url_of(migrated_to))
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        engine = create_engine("sqlite://", creator=lambda: made, poolclass=StaticPool)
        METADATA.create_all(engine)
        expected = definitions(made)
    with contextlib.closing(sqlite3.connect(migrated_to)) as migrated:
        found = definitions(migrated)

    assert found == expected
    # The comparison has teeth: it sees predicates of partial indexes and checks.
    assert found["allocation_one_in_slot"][1].endswith("WHERE until IS NULL")
    assert any("CHECK (length(digest) = 16)" in part for part in found["allocation"][0])
    assert "UNIQUE" in found["allocation_one_in_slot"][1]


def test_the_numbers_of_the_migrations_follow_one_another_up_to_the_codes_own() -> None:
    known = steps.history()

    assert [step.revision for step in known] == list(range(1, REVISION + 1))
    assert all(step.title for step in known)


def test_a_new_database_is_migrated_and_a_migrated_one_is_left_as_it_is(scratch: Path) -> None:
    url = url_of(scratch / "x.sqlite")
    assert migrations.current(url) == SchemaVersion(0, 0)
    assert not (scratch / "x.sqlite").exists()

    assert migrations.upgrade(url) == LATEST
    assert migrations.upgrade(url) == LATEST
    assert migrations.upgrade(url, REVISION) == LATEST

    assert migrations.current(url) == LATEST


def test_every_migration_says_its_own_revision(scratch: Path) -> None:
    for step in steps.history():
        found = migrations.upgrade(url_of(scratch / f"{step.revision}.sqlite"), step.revision)

        assert found.revision == step.revision
        assert 1 <= found.oldest_code <= step.revision


@pytest.mark.parametrize("revision", [0, REVISION + 1, -1])
def test_a_revision_that_does_not_exist_is_refused_and_nothing_is_changed(
    scratch: Path, revision: int
) -> None:
    url = url_of(scratch / "x.sqlite")

    with pytest.raises(SchemaUnfit, match=f"there is no revision {revision} of the schema"):
        migrations.upgrade(url, revision)

    assert migrations.current(url) == SchemaVersion(0, 0)


def test_there_is_no_way_back(scratch: Path) -> None:
    path = scratch / "x.sqlite"
    migrations.upgrade(url_of(path))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE schema_version SET revision = {REVISION + 1}")

    with pytest.raises(SchemaUnfit, match=f"is at revision {REVISION + 1}: it cannot go back"):
        migrations.upgrade(url_of(path), 1)


def test_a_migration_that_fails_leaves_nothing_behind(scratch: Path) -> None:
    path = scratch / "x.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE schema_notes (id INTEGER)")
        connection.execute("CREATE TABLE contact (mine TEXT)")  # in the way of one of ours

    with pytest.raises(DatabaseUnfit, match="table contact already exists"):
        migrations.upgrade(url_of(path))

    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert names == {"schema_notes", "contact"}


async def test_a_database_in_use_is_not_migrated_but_tells_its_revision(scratch: Path) -> None:
    url = url_of(scratch / "x.sqlite")
    backend = await open_backend(url)

    with pytest.raises(DatabaseUnfit, match="another ipamd uses the database"):
        migrations.upgrade(url)
    assert migrations.current(url).revision == steps.history()[-1].revision

    await backend.close()


@pytest.mark.parametrize("url", ["memory://", "mongo://host/x"])
def test_what_has_no_schema_cannot_be_migrated(url: str) -> None:
    with pytest.raises(DatabaseUnfit, match="sqlite:///PATH"):
        migrations.upgrade(url)


@pytest.mark.parametrize(
    ("found", "code", "sentence"),
    [
        (SchemaVersion(3, 2), 3, None),
        (SchemaVersion(3, 2), 2, None),
        (SchemaVersion(3, 2), 1, "install a newer ipamd"),
        (SchemaVersion(2, 1), 3, "run `ipamd migrate`"),
        (SchemaVersion(0, 0), 1, "is empty, and this ipamd needs 1: run `ipamd migrate`"),
    ],
)
def test_code_runs_on_its_own_schema_and_on_later_ones_that_allow_it(
    found: SchemaVersion, code: int, sentence: str | None
) -> None:
    said = misfit(found, code)

    assert (said is None) == (sentence is None)
    assert sentence is None or sentence in (said or "")


OPENS_AND_SAYS_WHERE_FROM = """
import asyncio, sys
import ipamd
from ipamd.backends.sql import steps
from ipamd.backends.sql.sqlite.backend import open_sqlite

async def main():
    backend = await open_sqlite(sys.argv[1])
    print(steps.folder(), await backend.ready())
    await backend.close()

asyncio.run(main())
"""


def test_the_migrations_are_found_where_a_wheel_puts_them(scratch: Path) -> None:
    installed = scratch / "installed"
    wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    for folder in wheel["packages"]:
        shutil.copytree(CHECKOUT / folder, installed / folder)
    for folder, place in wheel["force-include"].items():
        shutil.copytree(CHECKOUT / folder, installed / place)

    command = [sys.executable, "-c", OPENS_AND_SAYS_WHERE_FROM, url_of(scratch / "x.sqlite")]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    answer = subprocess.run(
        command, cwd=scratch, env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert answer.stdout.split() == [str(installed / "ipamd" / "migrations"), "None"]
