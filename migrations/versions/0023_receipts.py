"""What nodes were told, and the secret that signs it."""

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("restoration", sa.Column("cause", WORDS, nullable=True))
    op.add_column("census", sa.Column("told", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("census", sa.Column("told_in", WORDS, nullable=False, server_default=""))
    made = op.create_table(
        "receipt_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="receipt_key_key"),
        sa.CheckConstraint("id = 1", name="receipt_key_one_row"),
    )
    op.bulk_insert(made, [{"id": 1, "key": secrets.token_bytes(32)}])
    op.execute("UPDATE schema_version SET revision = 23")
