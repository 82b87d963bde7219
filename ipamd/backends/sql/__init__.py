"""Allocations in an SQL database, through SQLAlchemy Core."""

from ipamd.backends.interface import Backend
from ipamd.backends.sql.sqlite.backend import open_sqlite

__all__ = ["open_postgresql", "open_sqlite"]


async def open_postgresql(url: str) -> Backend:
    """See `ipamd.backends.sql.postgres.backend`, imported with its driver only where it is wanted."""
    from ipamd.backends.sql.postgres.backend import open_postgresql

    return await open_postgresql(url)
