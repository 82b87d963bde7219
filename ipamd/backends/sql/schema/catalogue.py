"""What admins set up, each row with the catalogue's revision in which it last changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    false,
    text,
    true,
)

from ipamd.backends.sql.schema.definition import METADATA, needed, optional

CATALOGUE: Final = Table(
    "catalogue",
    METADATA,
    needed("id", Integer),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

POOL: Final = Table(
    "pool",
    METADATA,
    needed("name"),
    needed("space"),
    needed("subnet"),
    needed("ranges"),
    needed("exclusions"),
    optional("gateway"),
    Column("gateway_on_link", Boolean, nullable=False, server_default=false()),
    needed("routes"),
    needed("dns"),
    needed("block_length", BigInteger),
    optional("prefix_length", BigInteger),
    needed("affinity"),
    needed("cooldown", BigInteger),
    needed("state"),
    needed("priority", BigInteger),
    needed("auto_assign", Boolean),
    needed("masquerade", Boolean),
    Column("borrow", Boolean, nullable=False, server_default=true()),
    Column("lease", BigInteger, nullable=False, server_default=text("64")),
    Column("sticky", Boolean, nullable=False, server_default=false()),
    Column("owner_keep", BigInteger, nullable=False, server_default=text("86400")),
    needed("selectors"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("name"),
    CheckConstraint("block_length >= 0 AND block_length <= 128 AND cooldown >= 0", name="counts"),
)
Index("pool_revision", POOL.c.revision)

RESERVATION: Final = Table(
    "reservation",
    METADATA,
    needed("id", BigInteger),
    needed("space"),
    needed("first", LargeBinary),
    needed("last", LargeBinary),
    optional("namespace"),
    optional("name"),
    optional("owner"),
    optional("note"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    CheckConstraint(
        "length(first) IN (4, 16) AND length(first) = length(last) AND first <= last", name="addresses"
    ),
)
Index("reservation_revision", RESERVATION.c.revision)

REMOVED: Final = Table(
    "removed",
    METADATA,
    needed("kind"),
    needed("cluster"),  # empty but for a node
    needed("name"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("kind", "cluster", "name"),
    CheckConstraint("kind IN ('pool', 'reservation', 'node', 'token', 'quota', 'hold')", name="kind"),
)
Index("removed_revision", REMOVED.c.revision)
