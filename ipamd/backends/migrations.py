"""Bringing a database's schema up to date, by its URL: all that `ipamd migrate` does."""

from __future__ import annotations

import asyncio
from functools import partial

from ipamd.backends.sql import steps
from ipamd.backends.sql.sqlite import migrating as sqlite
from ipamd.backends.sql.version import SchemaVersion
from ipamd.models.errors import DatabaseUnfit


def current(url: str) -> SchemaVersion:
    """At which revision a database's schema is, zeros if there is none; raises DatabaseUnfit.

    Only reads, also from a database that an ipamd is serving.
    """
    if is_postgresql(url):
        # Imported here, as is its driver: who has SQLite needs neither.
        from ipamd.backends.sql.postgres import migrating as postgresql

        return asyncio.run(postgresql.current(url))
    return sqlite.current(_file(url))


def wait(url: str, seconds: float) -> None:
    """Wait for the server of a database to take connections, so many seconds at most; raises DatabaseUnfit.

    A file needs no waiting.
    """
    if is_postgresql(url):
        from ipamd.backends.sql.postgres import migrating as postgresql

        asyncio.run(postgresql.wait(url, seconds))


def upgrade(url: str, to: int | None = None) -> SchemaVersion:
    """Migrate a database, made if it is missing, to a revision or to the latest; what it is then.

    All of it happens or nothing. A later ipamd's schema is left as it is if this one may serve it. Raises
    DatabaseUnfit when the database cannot be used, SchemaUnfit when its schema needs a newer ipamd, or the
    revision is not among ours or would be a step back.
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
