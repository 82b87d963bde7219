"""Holds. What they have are allocations."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Index, PrimaryKeyConstraint, Table

from ipamd.backends.sql.schema.definition import METADATA, needed

HOLD: Final = Table(
    "hold",
    METADATA,
    needed("name"),
    needed("size", BigInteger),
    needed("pool"),
    needed("namespaces"),
    needed("workloads"),
    needed("clusters"),
    needed("since", BigInteger),
    needed("seconds", BigInteger),
    needed("state"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("name"),
    CheckConstraint("size > 0 AND seconds > 0", name="counts"),
)
Index("hold_revision", HOLD.c.revision)
