"""Allocations, blocks, the catalogue, nodes."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
WORDS: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    create_allocations()
    create_releases()
    create_blocks()
    create_catalogue()
    create_nodes()
    create_schema_version()
    op.execute("INSERT INTO catalogue (id, revision) VALUES (1, 0)")
    op.execute("INSERT INTO schema_version (id, revision, oldest_code) VALUES (1, 1, 1)")


def partial_index(name: str, table: str, columns: list[str], predicate: str, *, unique: bool = False) -> None:
    where = sa.text(predicate)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def create_allocations() -> None:
    op.create_table(
        "allocation",
        sa.Column("id", SERIAL, autoincrement=True),
        sa.Column("space", WORDS, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("cluster", WORDS, nullable=True),
        sa.Column("network", WORDS, nullable=True),
        sa.Column("node", WORDS, nullable=True),
        sa.Column("container_id", WORDS, nullable=True),
        sa.Column("ifname", WORDS, nullable=True),
        sa.Column("owner", WORDS, nullable=True),
        sa.Column("namespace", WORDS, nullable=True),
        sa.Column("name", WORDS, nullable=True),
        sa.Column("uid", WORDS, nullable=True),
        sa.Column("boot", WORDS, nullable=True),
        sa.Column("netns_device", sa.BigInteger(), nullable=True),
        sa.Column("netns_inode", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("ending", WORDS, nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("taken_boot", sa.BigInteger(), nullable=False),
        sa.Column("taken_uptime", sa.BigInteger(), nullable=False),
        sa.Column("repeated_boot", sa.BigInteger(), nullable=False),
        sa.Column("repeated_uptime", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", WORDS, nullable=True),
        sa.Column("idempotency_body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="allocation_key"),
        sa.CheckConstraint("length(address) IN (4, 16)", name="allocation_address"),
        sa.CheckConstraint("length(digest) = 16", name="allocation_digest"),
        sa.CheckConstraint("place >= 0 AND position >= 0 AND generation >= 1", name="allocation_counts"),
        sa.CheckConstraint("(until IS NULL) = (ending IS NULL)", name="allocation_ending"),
        sa.CheckConstraint(
            "(container_id IS NULL) = (owner IS NOT NULL) AND (container_id IS NULL) = (node IS NULL)",
            name="allocation_holder",
        ),
        sa.CheckConstraint(
            "(idempotency_key IS NULL) = (idempotency_body IS NULL)", name="allocation_idempotency"
        ),
        sqlite_autoincrement=True,
    )
    partial_index("allocation_one_owner", "allocation", ["space", "address"], "until IS NULL", unique=True)
    partial_index("allocation_one_answer", "allocation", ["digest", "position"], "until IS NULL", unique=True)
    partial_index(
        "allocation_one_key",
        "allocation",
        ["idempotency_key", "position"],
        "idempotency_key IS NOT NULL",
        unique=True,
    )
    partial_index("allocation_live_node", "allocation", ["node", "space", "address"], "until IS NULL")
    partial_index(
        "allocation_live_workload",
        "allocation",
        ["namespace", "name", "space", "address"],
        "until IS NULL AND namespace IS NOT NULL",
    )
    partial_index(
        "allocation_live_owner",
        "allocation",
        ["owner", "space", "address"],
        "until IS NULL AND owner IS NOT NULL",
    )
    op.create_index("allocation_since", "allocation", ["since", "id"])
    op.create_index("allocation_of_address", "allocation", ["space", "address", "since", "id"])
    partial_index("allocation_of_node", "allocation", ["node", "since", "id"], "node IS NOT NULL")
    partial_index("allocation_of_name", "allocation", ["name", "since", "id"], "name IS NOT NULL")


def create_releases() -> None:
    op.create_table(
        "release",
        sa.Column("id", SERIAL, autoincrement=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("order_boot", sa.BigInteger(), nullable=False),
        sa.Column("order_uptime", sa.BigInteger(), nullable=False),
        sa.Column("undo", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="release_key"),
        sa.CheckConstraint("length(digest) = 16", name="release_digest"),
    )
    partial_index("release_last", "release", ["digest"], "NOT undo", unique=True)
    partial_index("release_undo", "release", ["digest", "order_boot", "order_uptime"], "undo", unique=True)
    op.create_index("release_until", "release", ["until"])


def create_blocks() -> None:
    op.create_table(
        "block",
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("first", sa.LargeBinary(), nullable=False),
        sa.Column("cluster", WORDS, nullable=True),
        sa.Column("node", WORDS, nullable=True),
        sa.Column("free_since", sa.LargeBinary(), nullable=False),
        sa.Column("allocated", sa.BigInteger(), nullable=False),
        sa.Column("last_freed", sa.BigInteger(), nullable=False),
        sa.Column("next_free_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pool", "first", name="block_key"),
        sa.CheckConstraint("length(first) = 16", name="block_first"),
        sa.CheckConstraint("length(free_since) > 0 AND length(free_since) % 8 = 0", name="block_free_since"),
        sa.CheckConstraint("allocated >= 0 AND allocated <= length(free_since) / 8", name="block_allocated"),
        sa.CheckConstraint("(cluster IS NULL) = (node IS NULL)", name="block_node"),
    )
    partial_index("block_room", "block", ["pool", "next_free_since", "first"], "next_free_since IS NOT NULL")
    partial_index(
        "block_room_empty",
        "block",
        ["pool", "next_free_since", "first"],
        "next_free_since IS NOT NULL AND allocated = 0 AND node IS NOT NULL",
    )
    partial_index(
        "block_room_node",
        "block",
        ["pool", "cluster", "node", "next_free_since", "first"],
        "next_free_since IS NOT NULL",
    )
    op.create_index("block_sums", "block", ["pool", "last_freed", "allocated", "next_free_since"])
    op.create_table(
        "carving",
        sa.Column("pool", WORDS, nullable=False),
        sa.Column("reached", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pool", name="carving_key"),
        sa.CheckConstraint("length(reached) = 17", name="carving_reached"),
    )


def create_catalogue() -> None:
    op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="catalogue_key"),
        sa.CheckConstraint("id = 1", name="catalogue_one_row"),
    )
    op.create_table(
        "pool",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("space", WORDS, nullable=False),
        sa.Column("subnet", WORDS, nullable=False),
        sa.Column("ranges", WORDS, nullable=False),
        sa.Column("exclusions", WORDS, nullable=False),
        sa.Column("gateway", WORDS, nullable=True),
        sa.Column("routes", WORDS, nullable=False),
        sa.Column("dns", WORDS, nullable=False),
        sa.Column("block_length", sa.BigInteger(), nullable=False),
        sa.Column("affinity", WORDS, nullable=False),
        sa.Column("cooldown", sa.BigInteger(), nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("auto_assign", sa.Boolean(), nullable=False),
        sa.Column("masquerade", sa.Boolean(), nullable=False),
        sa.Column("selectors", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pool_key"),
        sa.CheckConstraint("block_length >= 0 AND block_length <= 128 AND cooldown >= 0", name="pool_counts"),
    )
    op.create_index("pool_revision", "pool", ["revision"])
    op.create_table(
        "reservation",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("space", WORDS, nullable=False),
        sa.Column("first", sa.LargeBinary(), nullable=False),
        sa.Column("last", sa.LargeBinary(), nullable=False),
        sa.Column("namespace", WORDS, nullable=True),
        sa.Column("name", WORDS, nullable=True),
        sa.Column("owner", WORDS, nullable=True),
        sa.Column("note", WORDS, nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="reservation_key"),
        sa.CheckConstraint(
            "length(first) IN (4, 16) AND length(first) = length(last) AND first <= last",
            name="reservation_addresses",
        ),
    )
    op.create_index("reservation_revision", "reservation", ["revision"])
    op.create_table(
        "removed",
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "cluster", "name", name="removed_key"),
        sa.CheckConstraint("kind IN ('pool', 'reservation', 'node')", name="removed_kind"),
    )
    op.create_index("removed_revision", "removed", ["revision"])


def create_nodes() -> None:
    op.create_table(
        "node",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.Column("labels", WORDS, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name", name="node_key"),
    )
    op.create_index("node_revision", "node", ["revision"])
    op.create_table(
        "boot",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("node", WORDS, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("identity", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "node", "number", name="boot_key"),
        sa.UniqueConstraint("cluster", "node", "identity", name="boot_cluster_node_identity"),
    )
    op.create_table(
        "contact",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("node", WORDS, nullable=False),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "node", name="contact_key"),
    )


def create_schema_version() -> None:
    op.create_table(
        "schema_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("oldest_code", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="schema_version_key"),
        sa.CheckConstraint("id = 1", name="schema_version_one_row"),
    )
