"""Tokens, and when they were last used."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from ipamd.backends.sql.schema.definition import METADATA, needed, optional

TOKEN: Final = Table(
    "token",
    METADATA,
    needed("id", BigInteger),
    needed("hash", LargeBinary),
    needed("role"),
    optional("name"),
    optional("cluster"),
    optional("node"),
    needed("created", BigInteger),
    optional("created_by"),
    optional("expires", BigInteger),
    optional("previous", LargeBinary),
    optional("previous_until", BigInteger),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("hash"),
    CheckConstraint("length(hash) = 32", name="size"),
    CheckConstraint(
        "(node IS NOT NULL) = (role = 'node') AND (cluster IS NOT NULL) = (role IN ('node', 'join'))",
        name="bounds",
    ),
    CheckConstraint("(previous IS NULL) = (previous_until IS NULL)", name="previous"),
)
Index("token_revision", TOKEN.c.revision)

TOKEN_USE: Final = Table(
    "token_use",
    METADATA,
    needed("token", BigInteger),
    needed("used", BigInteger),
    PrimaryKeyConstraint("token"),
)
