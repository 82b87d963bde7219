"""Allocations in an SQL database with SQLAlchemy Core: what SQLite and PostgreSQL have in common.

What is different has a package for each of them. The entry points of `ipamd.backends` name these.
"""
