"""Tokens; who joined; which admin began or ended an allocation."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDS: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
KINDS: Final = "kind IN ('pool', 'reservation', 'node', 'token')"


def upgrade() -> None:
    for column in ("begun_by", "ended_by"):
        op.add_column("allocation", sa.Column(column, WORDS, nullable=True))
    op.add_column("node", sa.Column("proof", sa.LargeBinary(), nullable=True))
    create_tokens()
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("removed_kind", "removed")
        op.create_check_constraint("removed_kind", "removed", KINDS)
    else:
        replace_removed()
    op.execute("UPDATE schema_version SET revision = 2")


def create_tokens() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=True),
        sa.Column("cluster", WORDS, nullable=True),
        sa.Column("node", WORDS, nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", WORDS, nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="token_key"),
        sa.UniqueConstraint("hash", name="token_hash"),
        sa.CheckConstraint("length(hash) = 32", name="token_size"),
        sa.CheckConstraint(
            "(node IS NOT NULL) = (role = 'node') AND (cluster IS NOT NULL) = (role IN ('node', 'join'))",
            name="token_bounds",
        ),
        sa.CheckConstraint("(previous IS NULL) = (previous_until IS NULL)", name="token_previous"),
    )
    op.create_index("token_revision", "token", ["revision"])
    op.create_table(
        "token_use",
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="token_use_key"),
    )


def replace_removed() -> None:
    """SQLite cannot change a check: the table is made anew, with what is in it."""
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM removed")
    op.drop_table("removed")
    op.create_table(
        "removed",
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "cluster", "name", name="removed_key"),
        sa.CheckConstraint(KINDS, name="removed_kind"),
    )
    op.create_index("removed_revision", "removed", ["revision"])
    op.execute("INSERT INTO removed (kind, cluster, name, revision) SELECT * FROM kept")
    op.execute("DROP TABLE kept")
