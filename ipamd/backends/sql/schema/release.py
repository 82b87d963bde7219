"""What is remembered of a holder once it has ended."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
)

from ipamd.backends.sql.schema.definition import METADATA, SERIAL, needed, partial

RELEASE: Final = Table(
    "release",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    needed("digest", LargeBinary),
    needed("order_boot", BigInteger),
    needed("order_uptime", BigInteger),
    needed("undo", Boolean),
    needed("until", BigInteger),
    CheckConstraint("length(digest) = 16", name="digest"),
)
partial(RELEASE, "release_last", ("digest",), "NOT undo", unique=True)
partial(RELEASE, "release_undo", ("digest", "order_boot", "order_uptime"), "undo", unique=True)
Index("release_until", RELEASE.c.until)

FORMER_ADDRESS: Final = Table(
    "former_address",
    METADATA,
    needed("workload", LargeBinary),
    needed("position", BigInteger),
    needed("pool"),
    needed("address", LargeBinary),
    needed("since", BigInteger),
    needed("freed", BigInteger),
    needed("until", BigInteger),
    PrimaryKeyConstraint("workload", "position"),
    CheckConstraint("length(workload) = 16", name="workload"),
    sqlite_with_rowid=False,
)
Index("former_address_until", FORMER_ADDRESS.c.until)
