"""The line of allocations that wait for room."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "waiter",
        sa.Column("number", SERIAL, nullable=False, autoincrement=True),
        sa.Column("replica", WORDS, nullable=False),
        sa.Column("owner", WORDS, nullable=False),
        sa.Column("pools", WORDS, nullable=False),
        sa.Column("lacks", WORDS, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="waiter_key"),
        sqlite_autoincrement=True,
    )
    op.execute("UPDATE schema_version SET revision = 28")
