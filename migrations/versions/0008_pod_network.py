"""The pod network: what nodes publish, and numbers for the changes of what is announced."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("node", sa.Column("published", WORDS))
    op.create_table(
        "pod_network",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("settings", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="pod_network_key"),
    )
    op.create_table(
        "announcing",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("epoch", WORDS, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="announcing_key"),
    )
    op.create_table(
        "announced",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('node', 'pools', 'settings')", name="announced_kind"),
        sa.PrimaryKeyConstraint("cluster", "kind", "name", name="announced_key"),
    )
    op.create_index("announced_number", "announced", ["cluster", "number"])
    # With a default: an older ipamd adds rows beside this one, and knows of no borrowing.
    borrowed: sa.Column[bool] = sa.Column("borrowed", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("allocation", borrowed)
    predicate = sa.text("until IS NULL AND borrowed")
    columns = ["cluster", "node", "space", "address"]
    op.create_index(
        "allocation_borrowed", "allocation", columns, sqlite_where=predicate, postgresql_where=predicate
    )
    # All of a node's blocks are found by it now, those without a free address too.
    op.drop_index("block_room_node", "block")
    op.create_index("block_room_node", "block", ["pool", "cluster", "node", "next_free_since", "first"])
    op.execute("UPDATE schema_version SET revision = 8")
