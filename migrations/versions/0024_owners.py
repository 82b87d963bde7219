"""Owners whom workloads name: their addresses, and up to two holders of each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    keep: sa.Column[int] = sa.Column(
        "owner_keep", sa.BigInteger(), nullable=False, server_default=sa.text("86400")
    )
    op.add_column("pool", keep)
    # An older ipamd beside this one writes slot 0. It must end no holder of an owner's address, and no owner
    # that has holders: it would give the address to others.
    op.execute(
        "ALTER TABLE allocation ADD COLUMN slot SMALLINT DEFAULT 0 NOT NULL "
        "CONSTRAINT allocation_slot CHECK (slot BETWEEN 0 AND 2 AND (slot = 0 OR until IS NULL))"
    )
    op.add_column("allocation", sa.Column("held_for", WORDS))
    op.execute(
        "ALTER TABLE allocation ADD COLUMN away_since BIGINT CONSTRAINT allocation_owner_away CHECK "
        "(owner IS NULL OR cluster IS NULL OR until IS NULL OR away_since IS NOT NULL)"
    )
    op.execute(
        "UPDATE allocation SET held_for = owner WHERE until IS NULL AND owner IS NOT NULL AND seat IS NULL"
    )
    for name, columns, predicate, unique in (
        ("allocation_one_in_slot", ["space", "address", "slot"], "until IS NULL", True),
        ("allocation_away", ["pool", "away_since"], "until IS NULL AND away_since IS NOT NULL", False),
        ("allocation_of_held_for", ["held_for", "since", "id"], "held_for IS NOT NULL", False),
    ):
        where = sa.text(predicate)
        op.create_index(
            name, "allocation", columns, unique=unique, sqlite_where=where, postgresql_where=where
        )
    # The new one enforces as much of an older ipamd, and serves its lists.
    op.drop_index("allocation_one_owner", "allocation")
    op.execute("UPDATE schema_version SET revision = 24")
