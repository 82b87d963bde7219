"""Sticky pools, and the addresses that workloads had in them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    # With a default: an older ipamd adds pools beside this one, and none of them is sticky.
    sticky: sa.Column[bool] = sa.Column("sticky", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("pool", sticky)
    op.create_table(
        "former_address",
        sa.Column("workload", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("freed", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workload", "position", name="former_address_key"),
        sa.CheckConstraint("length(workload) = 16", name="former_address_workload"),
        sqlite_with_rowid=False,
    )
    op.create_index("former_address_until", "former_address", ["until"])
    op.execute("UPDATE schema_version SET revision = 16")
