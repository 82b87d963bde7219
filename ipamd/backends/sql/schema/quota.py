"""Quotas, and how much of each is used."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Index, LargeBinary, PrimaryKeyConstraint, Table

from ipamd.backends.sql.schema.definition import METADATA, needed, optional

QUOTA: Final = Table(
    "quota",
    METADATA,
    needed("name"),
    needed("maximum", BigInteger),
    needed("namespaces"),
    needed("clusters"),
    optional("family", BigInteger),
    optional("pool"),
    optional("space"),
    needed("shared", Boolean),
    needed("counting", Boolean),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("name"),
    CheckConstraint("maximum >= 0 AND (family IS NULL OR family IN (4, 6))", name="counts"),
)
Index("quota_revision", QUOTA.c.revision)

TALLY: Final = Table(
    "tally",
    METADATA,
    needed("digest", LargeBinary),
    needed("quota"),
    needed("family", BigInteger),
    needed("cluster"),
    needed("namespace"),
    needed("used", BigInteger),
    PrimaryKeyConstraint("digest"),
    CheckConstraint("length(digest) = 16 AND used > 0", name="counts"),
    sqlite_with_rowid=False,
)
Index("tally_quota", TALLY.c.quota, TALLY.c.used)
