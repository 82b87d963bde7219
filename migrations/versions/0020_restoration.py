"""Whether the database was put back, and nodes are waited for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "restoration",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("timeline", WORDS, nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="restoration_key"),
        sa.CheckConstraint("id = 1", name="restoration_one_row"),
    )
    op.execute("UPDATE schema_version SET revision = 20")
