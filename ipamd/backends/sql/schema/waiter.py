"""The line of those who wait for room."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table

from ipamd.backends.sql.schema.definition import METADATA, SERIAL, needed

WAITER: Final = Table(
    "waiter",
    METADATA,
    Column("number", SERIAL, nullable=False, autoincrement=True),
    needed("replica"),
    needed("owner"),
    needed("pools"),
    needed("lacks"),
    needed("since", BigInteger),
    needed("until", BigInteger),
    needed("beat", BigInteger),
    PrimaryKeyConstraint("number"),
    sqlite_autoincrement=True,  # a number is a place, and names one waiter for ever
)
