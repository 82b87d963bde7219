"""The migration of an SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from ipamd.backends.sql import steps
from ipamd.backends.sql.sqlite.connection import READER_SETTINGS, WRITER_SETTINGS, connect, version_of
from ipamd.backends.sql.sqlite.file import DatabaseFile, path_of
from ipamd.backends.sql.version import SchemaVersion
from ipamd.models.errors import DatabaseUnfit


def current(url: str) -> SchemaVersion:
    """At which revision a file's schema is, zeros if there is none; raises DatabaseUnfit.

    Only reads, also from a file that an ipamd is serving.
    """
    path = path_of(url)
    if not path.exists():
        return SchemaVersion(0, 0)
    try:
        with closing(connect(path, READER_SETTINGS)) as connection:
            return version_of(connection)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def migrate(url: str, to: int | None) -> SchemaVersion:
    """Migrate a file, made if it is missing, to a revision or to the latest; what it is then."""
    path = path_of(url)
    file = DatabaseFile(path)
    try:
        with closing(connect(path, WRITER_SETTINGS)) as connection:
            apply(connection, to)
            return version_of(connection)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    finally:
        file.let_go()


def apply(connection: sqlite3.Connection, to: int | None = None) -> None:
    """Migrate over a connection that is in no transaction; what `migrate` does once it has the database."""
    # Lent to SQLAlchemy as it is: in autocommit, so that the transaction is the one that begins here.
    engine = create_engine(
        "sqlite://", creator=lambda: connection, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as lent:
        try:
            lent.exec_driver_sql("BEGIN IMMEDIATE")
            steps.take(lent, version_of(connection), to)
            lent.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            raise error.orig or error from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _unusable(path: Path, error: sqlite3.Error) -> DatabaseUnfit:
    return DatabaseUnfit(f"the database {path} cannot be used: {error}")
