"""Bringing a database's schema up to date: all that `ipamd migrate` does.

The migrations stand in the folder `migrations/` of a checkout, which a wheel carries inside the package. The
number of a migration is the revision of the schema; only upwards is promised.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

import ipamd
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.sqlite.connection import READER_SETTINGS, WRITER_SETTINGS, connect, version_of
from ipamd.backends.sql.sqlite.file import DatabaseFile, path_of
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.models.errors import DatabaseUnfit, SchemaUnfit


class Migration(NamedTuple):
    """One step of the schema: its revision and what it does, in one line."""

    revision: int
    title: str


def history() -> list[Migration]:
    """All migrations that this ipamd has, the first one first."""
    scripts = ScriptDirectory.from_config(_config())
    steps = [Migration(int(script.revision), script.doc) for script in scripts.walk_revisions()]
    return sorted(steps)


def current(url: str) -> SchemaVersion:
    """At which revision a database's schema is, zeros where there is none; raises DatabaseUnfit.

    Only reads, also from a database that an ipamd is serving.
    """
    if is_postgresql(url):
        # Late, as is its driver: who has SQLite needs neither.
        from ipamd.backends.sql.postgres import migrating

        return asyncio.run(migrating.current(url))
    path = _path_of(url)
    if not path.exists():
        return SchemaVersion(0, 0)
    try:
        with closing(connect(path, READER_SETTINGS)) as connection:
            return version_of(connection)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def wait(url: str, seconds: float) -> None:
    """Wait for the server of a database to take connections, so many seconds at most; raises DatabaseUnfit.

    A file needs no waiting.
    """
    if is_postgresql(url):
        from ipamd.backends.sql.postgres import migrating

        asyncio.run(migrating.wait(url, seconds))


def upgrade(url: str, to: int | None = None) -> SchemaVersion:
    """Migrate a database, made where it is missing, to a revision or to the latest; what it is then.

    All of it happens or nothing. A later ipamd's schema is left as it is where this one may serve it. Raises
    DatabaseUnfit when the database cannot be used, SchemaUnfit when its schema needs a newer ipamd, or the
    revision is not among ours or would be a step back.
    """
    if is_postgresql(url):
        from ipamd.backends.sql.postgres import migrating

        return asyncio.run(migrating.migrate(url, partial(_step, to=to)))
    path = _path_of(url)
    file = DatabaseFile(path)
    try:
        with closing(connect(path, WRITER_SETTINGS)) as connection:
            apply(connection, to)
            return version_of(connection)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    finally:
        file.let_go()


def _step(connection: Connection, found: SchemaVersion, to: int | None) -> None:
    """Migrate over a connection that is in a transaction."""
    if to is None and found.revision > REVISION:
        # Whoever goes back to this ipamd starts it as usual: with `ipamd migrate` before it.
        sentence = misfit(found)
        if sentence is not None:
            raise SchemaUnfit(sentence)
        return
    _upgrade(connection, found, REVISION if to is None else to)


def _upgrade(connection: Connection, found: SchemaVersion, to: int) -> None:
    known = [migration.revision for migration in history()]
    if to not in known:
        raise SchemaUnfit(f"there is no revision {to} of the schema: this ipamd knows 1 to {known[-1]}")
    if found.revision > to:
        raise SchemaUnfit(
            f"the database's schema is at revision {found.revision}: there is no way back to {to}"
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, f"{to:04d}")


def apply(connection: sqlite3.Connection, to: int | None = None) -> None:
    """Migrate over a connection that is in no transaction; what `upgrade` does once it has the database."""
    # Lent to SQLAlchemy as it is: in autocommit, so that the transaction is the one that begins here.
    engine = create_engine(
        "sqlite://", creator=lambda: connection, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as lent:
        try:
            lent.exec_driver_sql("BEGIN IMMEDIATE")
            _step(lent, version_of(connection), to)
            lent.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            raise error.orig or error from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _unusable(path: Path, error: sqlite3.Error) -> DatabaseUnfit:
    return DatabaseUnfit(f"the database {path} cannot be used: {error}")


def _path_of(url: str) -> Path:
    if not url.startswith("sqlite:"):
        raise DatabaseUnfit(
            "only a database that lasts has a schema to migrate: sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        )
    return path_of(url)


def is_postgresql(url: str) -> bool:
    """Whether a URL names a PostgreSQL database."""
    return url.startswith("postgresql:")


def folder() -> Path:
    """Where the migrations are."""
    package = Path(ipamd.__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    return config
