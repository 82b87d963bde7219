"""Holds, and which addresses are theirs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
KINDS = "kind IN ('pool', 'reservation', 'node', 'token', 'quota', 'hold')"
OF_HOLD = sa.text("until IS NULL AND hold IS NOT NULL AND slot = 0")


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("namespaces", WORDS, nullable=False),
        sa.Column("workloads", WORDS, nullable=False),
        sa.Column("clusters", WORDS, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="hold_key"),
        sa.CheckConstraint("size > 0 AND seconds > 0", name="hold_counts"),
    )
    op.create_index("hold_revision", "hold", ["revision"])
    op.add_column("allocation", sa.Column("hold", WORDS, nullable=True))
    op.create_index(
        "allocation_hold", "allocation", ["hold", "owner"], sqlite_where=OF_HOLD, postgresql_where=OF_HOLD
    )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("removed_kind", "removed")
        op.create_check_constraint("removed_kind", "removed", KINDS)
    else:
        allow_removed_holds()
    op.execute("UPDATE schema_version SET revision = 29")


def allow_removed_holds() -> None:
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
