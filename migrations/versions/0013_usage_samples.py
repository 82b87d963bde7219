"""Samples of how many addresses of each pool are allocated."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "usage_sample",
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("allocated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pool", "at", name="usage_sample_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_sample_at", "usage_sample", ["at"])
    op.execute("UPDATE schema_version SET revision = 13")
