"""What nodes hold in advance."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, PrimaryKeyConstraint, Table, false

from ipamd.backends.sql.schema.definition import METADATA, needed, optional, partial

LEASE: Final = Table(
    "lease",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("epoch", BigInteger),
    needed("machine"),
    needed("boot"),
    needed("store"),
    needed("granted", BigInteger),
    needed("seats", BigInteger),  # the number of the last one
    needed("until", BigInteger),
    needed("reported", BigInteger),
    needed("heard", BigInteger),
    optional("noted_boot"),
    optional("noted_store"),
    optional("noted", BigInteger),
    needed("recalled", BigInteger),
    PrimaryKeyConstraint("cluster", "node"),
)

SEAT: Final = Table(
    "seat",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("number", BigInteger),
    needed("key"),
    needed("configuration", LargeBinary),
    needed("network"),
    optional("void_in"),
    Column("recalled", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("cluster", "node", "number"),
)
partial(SEAT, "seat_recalled", ("cluster", "node", "number"), "recalled")

LEASE_CONFIGURATION: Final = Table(
    "lease_configuration",
    METADATA,
    needed("digest", LargeBinary),
    needed("configuration", LargeBinary),
    PrimaryKeyConstraint("digest"),
)
