"""Leases: addresses that nodes hold in advance."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=False)


def _counter(name: str, default: int) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text(str(default)))


def upgrade() -> None:
    op.create_table(
        "lease",
        *(_needed(name, WORDS) for name in ("cluster", "node")),
        _needed("epoch", sa.BigInteger()),
        *(_needed(name, WORDS) for name in ("machine", "boot", "store")),
        *(_needed(name, sa.BigInteger()) for name in ("granted", "seats", "until", "reported", "heard")),
        sa.Column("noted_boot", WORDS),
        sa.Column("noted_store", WORDS),
        sa.Column("noted", sa.BigInteger()),
        _needed("recalled", sa.BigInteger()),
        sa.PrimaryKeyConstraint("cluster", "node", name="lease_key"),
    )
    op.create_table(
        "seat",
        *(_needed(name, WORDS) for name in ("cluster", "node")),
        _needed("number", sa.BigInteger()),
        _needed("key", WORDS),
        _needed("configuration", sa.LargeBinary()),
        _needed("network", WORDS),
        sa.Column("void_in", WORDS),
        sa.PrimaryKeyConstraint("cluster", "node", "number", name="seat_key"),
    )
    op.create_table(
        "lease_configuration",
        _needed("digest", sa.LargeBinary()),
        _needed("configuration", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("digest", name="lease_configuration_key"),
    )
    op.add_column("pool", _counter("lease", 64))
    op.add_column("block", _counter("leased", 0))
    # An older ipamd beside this one must end no row of a lease: it would give the address to others.
    op.execute(
        "ALTER TABLE allocation ADD COLUMN seat BIGINT "
        "CONSTRAINT allocation_seat CHECK (seat IS NULL OR until IS NULL)"
    )
    op.add_column("allocation", sa.Column("seat_position", sa.BigInteger()))
    op.add_column("allocation", sa.Column("free_since", sa.BigInteger()))
    predicate = sa.text("seat IS NOT NULL AND node IS NOT NULL")
    op.create_index(
        "allocation_one_container",
        "allocation",
        ["cluster", "node", "seat", "seat_position"],
        unique=True,
        sqlite_where=predicate,
        postgresql_where=predicate,
    )
    op.drop_index("block_sums", "block")
    op.create_index("block_sums", "block", ["pool", "last_freed", "allocated", "next_free_since", "leased"])
    op.execute("UPDATE schema_version SET revision = 12")
