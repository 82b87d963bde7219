"""Change requests: what readers ask for, and admins decide."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "change_request",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("wanted", WORDS, nullable=False),
        sa.Column("note", WORDS, nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("decided", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", WORDS, nullable=True),
        sa.Column("reason", WORDS, nullable=True),
        sa.Column("outcome", WORDS, nullable=True),
        sa.PrimaryKeyConstraint("id", name="change_request_key"),
    )
    op.create_index("change_request_state", "change_request", ["state", "id"])
    op.create_index("change_request_decided", "change_request", ["decided"])
    op.execute("UPDATE schema_version SET revision = 14")
