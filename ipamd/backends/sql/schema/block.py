"""Blocks of addresses, and how far their pools are carved."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    text,
)

from ipamd.backends.sql.schema.definition import METADATA, needed, optional, partial

BLOCK: Final = Table(
    "block",
    METADATA,
    needed("pool"),
    needed("first", LargeBinary),
    optional("cluster"),
    optional("node"),
    needed("free_since", LargeBinary),  # 64-bit integers, the lowest byte first, one for each address
    needed("allocated", BigInteger),
    needed("last_freed", BigInteger),
    optional("next_free_since", BigInteger),
    Column("leased", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("pool", "first"),
    CheckConstraint("length(first) = 16", name="first"),
    CheckConstraint("length(free_since) > 0 AND length(free_since) % 8 = 0", name="free_since"),
    CheckConstraint("allocated >= 0 AND allocated <= length(free_since) / 8", name="allocated"),
    CheckConstraint("(cluster IS NULL) = (node IS NULL)", name="node"),
)
# The search for an address reads the first entry of one of these, however many blocks there are.
partial(BLOCK, "block_room", ("pool", "next_free_since", "first"), "next_free_since IS NOT NULL")
# Of this one all blocks are entries: it also tells which blocks a node has.
Index(
    "block_room_node",
    BLOCK.c.pool,
    BLOCK.c.cluster,
    BLOCK.c.node,
    BLOCK.c.next_free_since,
    BLOCK.c.first,
)
partial(
    BLOCK,
    "block_room_empty",
    ("pool", "next_free_since", "first"),
    "next_free_since IS NOT NULL AND allocated = 0 AND node IS NOT NULL",
)
# Sums over a pool's blocks, or over a part of them, read the first of these alone. An ADD changes an entry in
# its place. The others tell what was freed lately, and what nodes hold in advance.
Index("block_parts", *(BLOCK.c[name] for name in ("pool", "first", "allocated")))
Index("block_freed", *(BLOCK.c[name] for name in ("pool", "last_freed")))
partial(BLOCK, "block_leased", ("pool", "first", "leased"), "leased > 0")

CARVING: Final = Table(
    "carving",
    METADATA,
    needed("pool"),
    needed("reached", LargeBinary),  # 17 bytes: one past the last address is a place too
    PrimaryKeyConstraint("pool"),
    CheckConstraint("length(reached) = 17", name="reached"),
)
