"""Quotas, and what is counted of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
KINDS = "kind IN ('pool', 'reservation', 'node', 'token', 'quota')"


def upgrade() -> None:
    op.create_table(
        "quota",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("maximum", sa.BigInteger(), nullable=False),
        sa.Column("namespaces", WORDS, nullable=False),
        sa.Column("clusters", WORDS, nullable=False),
        sa.Column("family", sa.BigInteger(), nullable=True),
        sa.Column("pool", WORDS, nullable=True),
        sa.Column("space", WORDS, nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("counting", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="quota_key"),
        sa.CheckConstraint("maximum >= 0 AND (family IS NULL OR family IN (4, 6))", name="quota_counts"),
    )
    op.create_index("quota_revision", "quota", ["revision"])
    op.create_table(
        "tally",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("quota", WORDS, nullable=False),
        sa.Column("family", sa.BigInteger(), nullable=False),
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("namespace", WORDS, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="tally_key"),
        sa.CheckConstraint("length(digest) = 16 AND used > 0", name="tally_counts"),
        sqlite_with_rowid=False,
    )
    op.create_index("tally_quota", "tally", ["quota", "used"])
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("removed_kind", "removed")
        op.create_check_constraint("removed_kind", "removed", KINDS)
    else:
        allow_removed_quotas()
    op.execute("UPDATE schema_version SET revision = 22")


def allow_removed_quotas() -> None:
    """SQLite cannot change a check: the table is made anew, and takes over what is in the old one."""
    op.drop_index("removed_revision", "removed")
    op.rename_table("removed", "formerly_removed")
    words = (sa.Column(name, WORDS, nullable=False) for name in ("kind", "cluster", "name"))
    op.create_table(
        "removed",
        *words,
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "cluster", "name", name="removed_key"),
        sa.CheckConstraint(KINDS, name="removed_kind"),
    )
    op.execute("INSERT INTO removed SELECT kind, cluster, name, revision FROM formerly_removed")
    op.drop_table("formerly_removed")
    op.create_index("removed_revision", "removed", ["revision"])
