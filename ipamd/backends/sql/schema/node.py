"""Nodes, their boots, and what was last heard of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    false,
)

from ipamd.backends.sql.schema.definition import METADATA, WORDS, needed, optional

NODE: Final = Table(
    "node",
    METADATA,
    needed("cluster"),
    needed("name"),
    needed("labels"),
    needed("revision", BigInteger),
    optional("proof", LargeBinary),
    optional("published"),
    Column("draining", Boolean, nullable=False, server_default=false()),
    Column("listed", Boolean, nullable=False, server_default=false()),
    optional("gone_since", BigInteger),
    PrimaryKeyConstraint("cluster", "name"),
)
Index("node_revision", NODE.c.revision)

BOOT: Final = Table(
    "boot",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("number", BigInteger),
    needed("identity"),
    PrimaryKeyConstraint("cluster", "node", "number"),
    UniqueConstraint("cluster", "node", "identity"),
)

CONTACT: Final = Table(
    "contact",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("heard", BigInteger),
    PrimaryKeyConstraint("cluster", "node"),
)

CENSUS: Final = Table(
    "census",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("census"),  # one line of JSON: it is read and written as a whole
    Column("told", BigInteger, nullable=False, server_default="0"),
    Column("told_in", WORDS, nullable=False, server_default=""),
    PrimaryKeyConstraint("cluster", "node"),
)
