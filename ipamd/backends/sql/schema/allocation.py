"""Who has an address and who had it, and the order in which that is read."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    false,
    text,
    true,
)

from ipamd.backends.sql.schema.definition import METADATA, SERIAL, needed, optional, partial

ALLOCATION: Final = Table(
    "allocation",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    needed("space"),
    needed("address", LargeBinary),
    needed("pool"),
    needed("place", BigInteger),  # of the address in its block (`rows.place_of`)
    needed("digest", LargeBinary),
    needed("position", BigInteger),
    optional("cluster"),
    optional("network"),
    optional("node"),
    optional("container_id"),
    optional("ifname"),
    optional("owner"),
    optional("namespace"),
    optional("name"),
    optional("uid"),
    optional("boot"),
    optional("netns_device", BigInteger),
    optional("netns_inode", BigInteger),
    needed("since", BigInteger),
    optional("until", BigInteger),
    optional("ending"),
    needed("generation", BigInteger),
    needed("taken_boot", BigInteger),
    needed("taken_uptime", BigInteger),
    needed("repeated_boot", BigInteger),
    needed("repeated_uptime", BigInteger),
    optional("idempotency_key"),
    optional("idempotency_body", LargeBinary),
    optional("begun_by"),
    optional("ended_by"),
    optional("reason"),
    Column("borrowed", Boolean, nullable=False, server_default=false()),
    Column("listed", Boolean, nullable=False, server_default=true()),
    # Code that knows no leases ends no row of one: it would give the address to others.
    Column("seat", BigInteger, CheckConstraint("seat IS NULL OR until IS NULL", name="seat"), nullable=True),
    optional("seat_position", BigInteger),
    optional("free_since", BigInteger),
    # Holders of an owner's address have the slots 1 and 2 while they live. Code that knows no owners ends no
    # such row: it would give the address to others.
    Column(
        "slot",
        SmallInteger,
        CheckConstraint("slot BETWEEN 0 AND 2 AND (slot = 0 OR until IS NULL)", name="slot"),
        nullable=False,
        server_default=text("0"),
    ),
    optional("held_for"),
    # An owner whom workloads name ends only while it is away. Such an owner has a cluster.
    Column(
        "away_since",
        BigInteger,
        CheckConstraint(
            "owner IS NULL OR cluster IS NULL OR until IS NULL OR away_since IS NOT NULL", name="owner_away"
        ),
        nullable=True,
    ),
    optional("hold"),
    # A prefix has a length, and its last address. All other rows have neither.
    Column(
        "prefix_length",
        SmallInteger,
        CheckConstraint(
            "prefix_length IS NULL OR prefix_length BETWEEN 1 AND 8 * length(address) - 1",
            name="prefix_length",
        ),
        nullable=True,
    ),
    Column(
        "prefix_last",
        LargeBinary,
        CheckConstraint(
            "(prefix_last IS NULL AND prefix_length IS NULL) OR (prefix_length IS NOT NULL AND "
            "prefix_last IS NOT NULL AND length(prefix_last) = length(address) AND prefix_last > address)",
            name="prefix_last",
        ),
        nullable=True,
    ),
    CheckConstraint("length(address) IN (4, 16)", name="address"),
    CheckConstraint("length(digest) = 16", name="digest"),
    CheckConstraint("place >= 0 AND position >= 0 AND generation >= 1", name="counts"),
    CheckConstraint("(until IS NULL) = (ending IS NULL)", name="ending"),
    CheckConstraint(
        "(container_id IS NULL) = (owner IS NOT NULL) AND (container_id IS NULL) = (node IS NULL)",
        name="holder",
    ),
    CheckConstraint("(idempotency_key IS NULL) = (idempotency_body IS NULL)", name="idempotency"),
    sqlite_autoincrement=True,  # an id names one row for ever, also when that row was pruned
)
ALLOCATION_COLUMNS: Final = tuple(
    column for column in ALLOCATION.columns if column.name not in ("listed", "prefix_last")
)
"""What is told of an allocation. Whether it is `listed` concerned indexes that SQLite had. The last
address of a prefix follows from its length."""


def _live(name: str, *columns: str, unique: bool = False) -> None:
    """An index over who has an address."""
    partial(ALLOCATION, name, columns, "until IS NULL", unique=unique)


# An address has one owner at a time. Beside one whom workloads name there are at most two holders: there are
# two more slots. A holder has one address at each position.
_live("allocation_one_in_slot", "space", "address", "slot", unique=True)
_live("allocation_one_answer", "digest", "position", unique=True)
partial(
    ALLOCATION,
    "allocation_one_key",
    ("idempotency_key", "position"),
    "idempotency_key IS NOT NULL",
    unique=True,
)
# Pages of live rows are in the order of addresses, so that the unique index serves the list of all and of a
# pool; a container is found by how its digests begin. Each further index costs every ADD and DEL a page.
# On SQLite terms serve where places are random or many (docs/decisions/0052-terms.md).
# This one has the clusters, so that what nodes hold is counted without a look at a row.
partial(
    ALLOCATION,
    "allocation_live_node",
    ("node", "space", "address", "cluster", "until", "listed"),
    "until IS NULL",
    by_terms=True,
)
partial(
    ALLOCATION,
    "allocation_live_workload",
    ("namespace", "name", "space", "address"),
    "until IS NULL AND namespace IS NOT NULL",
    by_terms=True,
)
# For an older ipamd only, which may come back: today no row is added that is not `listed`.
Index(
    "allocation_unlisted",
    *(ALLOCATION.c[column] for column in ("id", "node", "namespace", "name")),
    sqlite_where=text("NOT listed"),
).ddl_if(dialect="sqlite")
partial(
    ALLOCATION, "allocation_live_owner", ("owner", "space", "address"), "until IS NULL AND owner IS NOT NULL"
)
partial(
    ALLOCATION, "allocation_borrowed", ("cluster", "node", "space", "address"), "until IS NULL AND borrowed"
)
# Who is away for long enough, by pool; and what an owner and its holders had.
partial(ALLOCATION, "allocation_away", ("pool", "away_since"), "until IS NULL AND away_since IS NOT NULL")
partial(ALLOCATION, "allocation_of_held_for", ("held_for", "since", "id"), "held_for IS NOT NULL")
partial(
    ALLOCATION,
    "allocation_owners",
    ("namespace", "owner", "cluster", "position"),
    "until IS NULL AND owner IS NOT NULL AND cluster IS NOT NULL",
)
# Which prefixes are held, and were: they are found by an address in them.
partial(
    ALLOCATION,
    "allocation_live_prefix",
    ("space", "address", "prefix_length", "pool"),
    "until IS NULL AND prefix_length IS NOT NULL",
)
partial(
    ALLOCATION,
    "allocation_of_prefix",
    ("space", "address", "prefix_length", "since", "id"),
    "prefix_length IS NOT NULL",
)
# A seat has one container at a time.
partial(
    ALLOCATION,
    "allocation_one_container",
    ("cluster", "node", "seat", "seat_position"),
    "seat IS NOT NULL AND node IS NOT NULL",
    unique=True,
)
# Whose seats are of a pool.
partial(ALLOCATION, "allocation_seat", ("pool", "owner", "cluster", "node"), "seat IS NOT NULL")
# What is left of a hold, and what workloads have taken.
partial(ALLOCATION, "allocation_hold", ("hold", "owner"), "until IS NULL AND hold IS NOT NULL AND slot = 0")
# History is in the order of time.
Index("allocation_since", ALLOCATION.c.since, ALLOCATION.c.id)
# On SQLite an ADD adds nothing to this one: who has an address is found by the unique index
# (docs/decisions/0056-pages.md). On PostgreSQL an older ipamd beside this one needs all rows in it.
Index(
    "allocation_of_address",
    *(ALLOCATION.c[column] for column in ("space", "address", "since", "id")),
    sqlite_where=text("until IS NOT NULL"),
)
for _column in ("node", "name"):
    partial(
        ALLOCATION,
        f"allocation_of_{_column}",
        (_column, "since", "id"),
        f"{_column} IS NOT NULL",
        by_terms=True,
    )
