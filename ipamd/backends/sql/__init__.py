"""Allocations in an SQL database, through SQLAlchemy Core: what SQLite and PostgreSQL have in common.

What differs between them is in a room of each, which the entry points of `ipamd.backends` name.
"""
