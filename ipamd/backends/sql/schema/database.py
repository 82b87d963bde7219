"""What is said of the database as a whole."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    text,
)

from ipamd.backends.sql.schema.definition import METADATA, needed, optional

RESTORATION: Final = Table(
    "restoration",
    METADATA,
    needed("id", Integer),
    needed("timeline"),
    optional("began", BigInteger),
    needed("revision", BigInteger),
    optional("cause"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

RECEIPT_KEY: Final = Table(
    "receipt_key",
    METADATA,
    needed("id", Integer),
    needed("key", LargeBinary),  # made with the table, and never changed
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

HISTORY: Final = Table(
    "history",
    METADATA,
    needed("id", Integer),
    needed("forgotten", BigInteger),  # what ended until then may have been dropped
    Column("counted", BigInteger, nullable=False, server_default=text("0")),  # how far time has been counted
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

SCHEMA_VERSION: Final = Table(
    "schema_version",
    METADATA,
    needed("id", Integer),
    needed("revision", BigInteger),
    needed("oldest_code", BigInteger),  # the oldest revision whose code may still run on this schema
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)
