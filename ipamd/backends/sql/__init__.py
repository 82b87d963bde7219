"""Allocations in an SQL database, through SQLAlchemy Core."""

from ipamd.backends.sql.sqlite.backend import open_sqlite

__all__ = ["open_sqlite"]
