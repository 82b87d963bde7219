"""Migrate the database of a URL: everything that `ipamd migrate` does."""

from __future__ import annotations

import asyncio
from functools import partial

from ipamd.backends.sql import steps
from ipamd.backends.sql.sqlite import migrating as sqlite
from ipamd.backends.sql.version import SchemaVersion
from ipamd.models.errors import DatabaseUnfit


def current(url: str) -> SchemaVersion:
    """The revision of a database's schema, zeros if there is none. Raises DatabaseUnfit.

    This only reads. An ipamd may serve the database meanwhile.
    """
    if is_postgresql(url):
        # Imported here, as is its driver: who has SQLite needs neither.
        from ipamd.backends.sql.postgres import migrating as postgresql

        return asyncio.run(postgresql.current(url))
    return sqlite.current(_file(url))


def wait(url: str, seconds: float) -> None:
    """Wait until the server of a database takes connections, at most this many seconds. Raises DatabaseUnfit.

    A file needs no waiting.
    """
    if is_postgresql(url):
        from ipamd.backends.sql.postgres import migrating as postgresql

        asyncio.run(postgresql.wait(url, seconds))


def upgrade(url: str, to: int | None = None) -> SchemaVersion:
    """Migrate a database to a revision or to the latest.

    It is created if it is missing. Returns its version then.

    All of it happens, or nothing. The schema of a later ipamd stays as it is if this ipamd can serve it.
    Raises DatabaseUnfit if the database cannot be used. Raises SchemaUnfit if the schema needs a newer ipamd,
    or if the revision does not exist or would be a step back.
    """
    if is_postgresql(url):
        from ipamd.backends.sql.postgres import migrating as postgresql

        return asyncio.run(postgresql.migrate(url, partial(steps.take, to=to)))
    return sqlite.migrate(_file(url), to)


def is_postgresql(url: str) -> bool:
    """Whether a URL names a PostgreSQL database."""
    return url.startswith("postgresql:")


def _file(url: str) -> str:
    if not url.startswith("sqlite:"):
        raise DatabaseUnfit(
            "only SQLite and PostgreSQL have a schema: write sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        )
    return url
