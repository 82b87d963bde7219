"""The change log: who changed what of the catalogue."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "change_log",
        sa.Column("id", SERIAL, autoincrement=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("before", WORDS, nullable=True),
        sa.Column("after", WORDS, nullable=True),
        sa.PrimaryKeyConstraint("id", name="change_log_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("change_log_at", "change_log", ["at"])
    op.create_index("change_log_name", "change_log", ["name", "id"])
    op.execute("UPDATE schema_version SET revision = 11")
