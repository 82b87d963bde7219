"""The tables, with the promises that the database itself keeps.

Addresses are their packed bytes (4 or 16), instants integers, lists and mappings JSON in text: what a driver
takes as it is. The number of a block is 16 bytes whatever its family, so that the order of bytes is the
order of numbers and no search needs to know the family.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

REVISION: Final = 27
"""The revision of the schema that this code was written for: the number of the latest migration."""

METADATA: Final = MetaData(
    naming_convention={
        "ck": "%(table_name)s_%(constraint_name)s",
        "pk": "%(table_name)s_key",
        "uq": "%(table_name)s_%(column_0_N_name)s",
    }
)

SERIAL: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up columns of the type INTEGER only."""


WORDS: Final[TypeEngine[str]] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Compared by code points, as SQLite and Python do, whatever the language of the database."""


def needed(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = WORDS) -> Column[Any]:
    """A column that has a value in every row."""
    return Column(name, kind, nullable=False)


def optional(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = WORDS) -> Column[Any]:
    """A column that may be null."""
    return Column(name, kind, nullable=True)


ALLOCATION: Final = Table(
    "allocation",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    needed("space"),
    needed("address", LargeBinary),
    needed("pool"),
    needed("place", BigInteger),  # of the address in its block: address minus the block's number
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
ALLOCATION_COLUMNS: Final = tuple(column for column in ALLOCATION.columns if column.name != "listed")
"""What is told of an allocation. Whether it is `listed` concerns SQLite's indexes alone: see below."""


def _live(name: str, *columns: str, unique: bool = False) -> None:
    """An index over who has an address."""
    _partial(ALLOCATION, name, columns, "until IS NULL", unique=unique)


def _partial(
    table: Table,
    name: str,
    columns: tuple[str, ...],
    predicate: str,
    *,
    unique: bool = False,
    deferred: bool = False,
) -> None:
    """An index over some rows; on SQLite one that is `deferred` has only those that are listed."""
    Index(
        name,
        *(table.c[column] for column in columns),
        unique=unique,
        sqlite_where=text(f"{predicate} AND listed" if deferred else predicate),
        postgresql_where=text(predicate),
    )


# An address has one owner at a time. Beside one whom workloads name there are at most two holders: there are
# two more slots. A holder has one address at each position.
_live("allocation_one_in_slot", "space", "address", "slot", unique=True)
_live("allocation_one_answer", "digest", "position", unique=True)
_partial(
    ALLOCATION,
    "allocation_one_key",
    ("idempotency_key", "position"),
    "idempotency_key IS NOT NULL",
    unique=True,
)
# Pages of live rows are in the order of addresses, so that the unique index serves the list of all and of a
# pool; a container is found by how its digests begin. Each further index costs every ADD and DEL a page.
# On SQLite those with random or many places are deferred: a row enters them with thousands of others at once,
# and is found by `allocation_unlisted` until then (docs/decisions/0022-deferred-indexes.md).
# It has the clusters, so that what nodes hold is counted without a look at a row. SQLite needs the columns of
# the condition for that too.
_partial(
    ALLOCATION,
    "allocation_live_node",
    ("node", "space", "address", "cluster", "until", "listed"),
    "until IS NULL",
    deferred=True,
)
_partial(
    ALLOCATION,
    "allocation_live_workload",
    ("namespace", "name", "space", "address"),
    "until IS NULL AND namespace IS NOT NULL",
    deferred=True,
)
Index(
    "allocation_unlisted",
    *(ALLOCATION.c[column] for column in ("id", "node", "namespace", "name")),
    sqlite_where=text("NOT listed"),
).ddl_if(dialect="sqlite")
_partial(
    ALLOCATION, "allocation_live_owner", ("owner", "space", "address"), "until IS NULL AND owner IS NOT NULL"
)
_partial(
    ALLOCATION, "allocation_borrowed", ("cluster", "node", "space", "address"), "until IS NULL AND borrowed"
)
# Who is away for long enough, by pool; and what an owner and its holders had.
_partial(ALLOCATION, "allocation_away", ("pool", "away_since"), "until IS NULL AND away_since IS NOT NULL")
_partial(ALLOCATION, "allocation_of_held_for", ("held_for", "since", "id"), "held_for IS NOT NULL")
_partial(
    ALLOCATION,
    "allocation_owners",
    ("namespace", "owner", "cluster", "position"),
    "until IS NULL AND owner IS NOT NULL AND cluster IS NOT NULL",
)
# A seat has one container at a time.
_partial(
    ALLOCATION,
    "allocation_one_container",
    ("cluster", "node", "seat", "seat_position"),
    "seat IS NOT NULL AND node IS NOT NULL",
    unique=True,
)
# Whose seats are of a pool.
_partial(ALLOCATION, "allocation_seat", ("pool", "owner", "cluster", "node"), "seat IS NOT NULL")
# History is in the order of time. These hold live and ended rows, so that an ending moves nothing in them.
Index("allocation_since", ALLOCATION.c.since, ALLOCATION.c.id)
Index(
    "allocation_of_address",
    ALLOCATION.c.space,
    ALLOCATION.c.address,
    ALLOCATION.c.since,
    ALLOCATION.c.id,
)
for _column in ("node", "name"):
    _partial(
        ALLOCATION,
        f"allocation_of_{_column}",
        (_column, "since", "id"),
        f"{_column} IS NOT NULL",
        deferred=True,
    )

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
_partial(BLOCK, "block_room", ("pool", "next_free_since", "first"), "next_free_since IS NOT NULL")
# Of this one all blocks are entries: it also tells which blocks a node has.
Index(
    "block_room_node",
    BLOCK.c.pool,
    BLOCK.c.cluster,
    BLOCK.c.node,
    BLOCK.c.next_free_since,
    BLOCK.c.first,
)
_partial(
    BLOCK,
    "block_room_empty",
    ("pool", "next_free_since", "first"),
    "next_free_since IS NOT NULL AND allocated = 0 AND node IS NOT NULL",
)
# Sums over a pool's blocks, or over a part of them, read the first of these alone. An ADD changes an entry in
# its place. The others tell what was freed lately, and what nodes hold in advance.
Index("block_parts", *(BLOCK.c[name] for name in ("pool", "first", "allocated")))
Index("block_freed", *(BLOCK.c[name] for name in ("pool", "last_freed")))
_partial(BLOCK, "block_leased", ("pool", "first", "leased"), "leased > 0")

CARVING: Final = Table(
    "carving",
    METADATA,
    needed("pool"),
    needed("reached", LargeBinary),  # 17 bytes: one past the last address is a place too
    PrimaryKeyConstraint("pool"),
    CheckConstraint("length(reached) = 17", name="reached"),
)

RELEASE: Final = Table(
    "release",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    needed("digest", LargeBinary),
    needed("order_boot", BigInteger),
    needed("order_uptime", BigInteger),
    needed("undo", Boolean),
    needed("until", BigInteger),
    CheckConstraint("length(digest) = 16", name="digest"),
)
_partial(RELEASE, "release_last", ("digest",), "NOT undo", unique=True)
_partial(RELEASE, "release_undo", ("digest", "order_boot", "order_uptime"), "undo", unique=True)
Index("release_until", RELEASE.c.until)

FORMER_ADDRESS: Final = Table(
    "former_address",
    METADATA,
    needed("workload", LargeBinary),
    needed("position", BigInteger),
    needed("pool"),
    needed("address", LargeBinary),
    needed("since", BigInteger),
    needed("freed", BigInteger),
    needed("until", BigInteger),
    PrimaryKeyConstraint("workload", "position"),
    CheckConstraint("length(workload) = 16", name="workload"),
    sqlite_with_rowid=False,
)
Index("former_address_until", FORMER_ADDRESS.c.until)

CATALOGUE: Final = Table(
    "catalogue",
    METADATA,
    needed("id", Integer),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

POOL: Final = Table(
    "pool",
    METADATA,
    needed("name"),
    needed("space"),
    needed("subnet"),
    needed("ranges"),
    needed("exclusions"),
    optional("gateway"),
    Column("gateway_on_link", Boolean, nullable=False, server_default=false()),
    needed("routes"),
    needed("dns"),
    needed("block_length", BigInteger),
    needed("affinity"),
    needed("cooldown", BigInteger),
    needed("state"),
    needed("priority", BigInteger),
    needed("auto_assign", Boolean),
    needed("masquerade", Boolean),
    Column("borrow", Boolean, nullable=False, server_default=true()),
    Column("lease", BigInteger, nullable=False, server_default=text("64")),
    Column("sticky", Boolean, nullable=False, server_default=false()),
    Column("owner_keep", BigInteger, nullable=False, server_default=text("86400")),
    needed("selectors"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("name"),
    CheckConstraint("block_length >= 0 AND block_length <= 128 AND cooldown >= 0", name="counts"),
)
Index("pool_revision", POOL.c.revision)

RESERVATION: Final = Table(
    "reservation",
    METADATA,
    needed("id", BigInteger),
    needed("space"),
    needed("first", LargeBinary),
    needed("last", LargeBinary),
    optional("namespace"),
    optional("name"),
    optional("owner"),
    optional("note"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    CheckConstraint(
        "length(first) IN (4, 16) AND length(first) = length(last) AND first <= last", name="addresses"
    ),
)
Index("reservation_revision", RESERVATION.c.revision)

NODE: Final = Table(
    "node",
    METADATA,
    needed("cluster"),
    needed("name"),
    needed("labels"),
    needed("revision", BigInteger),
    optional("proof", LargeBinary),
    optional("published"),
    Column("draining", Boolean, nullable=False, server_default=false()),
    Column("listed", Boolean, nullable=False, server_default=false()),
    optional("gone_since", BigInteger),
    PrimaryKeyConstraint("cluster", "name"),
)
Index("node_revision", NODE.c.revision)

QUOTA: Final = Table(
    "quota",
    METADATA,
    needed("name"),
    needed("maximum", BigInteger),
    needed("namespaces"),
    needed("clusters"),
    optional("family", BigInteger),
    optional("pool"),
    optional("space"),
    needed("shared", Boolean),
    needed("counting", Boolean),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("name"),
    CheckConstraint("maximum >= 0 AND (family IS NULL OR family IN (4, 6))", name="counts"),
)
Index("quota_revision", QUOTA.c.revision)

TALLY: Final = Table(
    "tally",
    METADATA,
    needed("digest", LargeBinary),
    needed("quota"),
    needed("family", BigInteger),
    needed("cluster"),
    needed("namespace"),
    needed("used", BigInteger),
    PrimaryKeyConstraint("digest"),
    CheckConstraint("length(digest) = 16 AND used > 0", name="counts"),
    sqlite_with_rowid=False,
)
Index("tally_quota", TALLY.c.quota, TALLY.c.used)

TOKEN: Final = Table(
    "token",
    METADATA,
    needed("id", BigInteger),
    needed("hash", LargeBinary),
    needed("role"),
    optional("name"),
    optional("cluster"),
    optional("node"),
    needed("created", BigInteger),
    optional("created_by"),
    optional("expires", BigInteger),
    optional("previous", LargeBinary),
    optional("previous_until", BigInteger),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("hash"),
    CheckConstraint("length(hash) = 32", name="size"),
    CheckConstraint(
        "(node IS NOT NULL) = (role = 'node') AND (cluster IS NOT NULL) = (role IN ('node', 'join'))",
        name="bounds",
    ),
    CheckConstraint("(previous IS NULL) = (previous_until IS NULL)", name="previous"),
)
Index("token_revision", TOKEN.c.revision)

TOKEN_USE: Final = Table(
    "token_use",
    METADATA,
    needed("token", BigInteger),
    needed("used", BigInteger),
    PrimaryKeyConstraint("token"),
)

REMOVED: Final = Table(
    "removed",
    METADATA,
    needed("kind"),
    needed("cluster"),  # empty but for a node
    needed("name"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("kind", "cluster", "name"),
    CheckConstraint("kind IN ('pool', 'reservation', 'node', 'token', 'quota')", name="kind"),
)
Index("removed_revision", REMOVED.c.revision)

RESTORATION: Final = Table(
    "restoration",
    METADATA,
    needed("id", Integer),
    needed("timeline"),
    optional("began", BigInteger),
    needed("revision", BigInteger),
    optional("cause"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

RECEIPT_KEY: Final = Table(
    "receipt_key",
    METADATA,
    needed("id", Integer),
    needed("key", LargeBinary),  # made with the table, and never changed
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

POD_NETWORK: Final = Table(
    "pod_network",
    METADATA,
    needed("cluster"),
    needed("settings"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("cluster"),
)

ANNOUNCING: Final = Table(
    "announcing",
    METADATA,
    needed("cluster"),
    needed("epoch"),
    needed("number", BigInteger),  # of the latest change of what is announced
    needed("forgotten", BigInteger),  # changes up to this number may be missing
    PrimaryKeyConstraint("cluster"),
)

ANNOUNCED: Final = Table(
    "announced",
    METADATA,
    needed("cluster"),
    needed("kind"),
    needed("name"),  # empty but for a node
    needed("number", BigInteger),  # under which it last changed
    PrimaryKeyConstraint("cluster", "kind", "name"),
    CheckConstraint("kind IN ('node', 'pools', 'settings')", name="kind"),
)
Index("announced_number", ANNOUNCED.c.cluster, ANNOUNCED.c.number)

BOOT: Final = Table(
    "boot",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("number", BigInteger),
    needed("identity"),
    PrimaryKeyConstraint("cluster", "node", "number"),
    UniqueConstraint("cluster", "node", "identity"),
)

CONTACT: Final = Table(
    "contact",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("heard", BigInteger),
    PrimaryKeyConstraint("cluster", "node"),
)

CHANGE_LOG: Final = Table(
    "change_log",
    METADATA,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    needed("at", BigInteger),
    needed("changed_by"),
    needed("kind"),
    needed("name"),
    optional("before"),
    optional("after"),
    sqlite_autoincrement=True,  # an id is the place of a page: it names one entry for ever
)
Index("change_log_at", CHANGE_LOG.c.at)
for _filter, _column in (("name", "name"), ("by", "changed_by"), ("kind", "kind")):
    Index(f"change_log_{_filter}", CHANGE_LOG.c[_column], CHANGE_LOG.c.id)

LEASE: Final = Table(
    "lease",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("epoch", BigInteger),
    needed("machine"),
    needed("boot"),
    needed("store"),
    needed("granted", BigInteger),
    needed("seats", BigInteger),  # the number of the last one
    needed("until", BigInteger),
    needed("reported", BigInteger),
    needed("heard", BigInteger),
    optional("noted_boot"),
    optional("noted_store"),
    optional("noted", BigInteger),
    needed("recalled", BigInteger),
    PrimaryKeyConstraint("cluster", "node"),
)

SEAT: Final = Table(
    "seat",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("number", BigInteger),
    needed("key"),
    needed("configuration", LargeBinary),
    needed("network"),
    optional("void_in"),
    Column("recalled", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("cluster", "node", "number"),
)
_partial(SEAT, "seat_recalled", ("cluster", "node", "number"), "recalled")

LEASE_CONFIGURATION: Final = Table(
    "lease_configuration",
    METADATA,
    needed("digest", LargeBinary),
    needed("configuration", LargeBinary),
    PrimaryKeyConstraint("digest"),
)

CENSUS: Final = Table(
    "census",
    METADATA,
    needed("cluster"),
    needed("node"),
    needed("census"),  # one line of JSON: it is read and written as a whole
    Column("told", BigInteger, nullable=False, server_default="0"),
    Column("told_in", WORDS, nullable=False, server_default=""),
    PrimaryKeyConstraint("cluster", "node"),
)

CHANGE_REQUEST: Final = Table(
    "change_request",
    METADATA,
    needed("id", BigInteger),
    needed("kind"),
    needed("wanted"),
    optional("note"),
    needed("created", BigInteger),
    needed("created_by"),
    needed("state"),
    optional("decided", BigInteger),
    optional("decided_by"),
    optional("reason"),
    optional("outcome"),
    PrimaryKeyConstraint("id"),
)
Index("change_request_state", CHANGE_REQUEST.c.state, CHANGE_REQUEST.c.id)
Index("change_request_decided", CHANGE_REQUEST.c.decided)

USAGE_SAMPLE: Final = Table(
    "usage_sample",
    METADATA,
    needed("pool"),
    needed("at", BigInteger),  # the beginning of the hour
    needed("allocated", BigInteger),
    PrimaryKeyConstraint("pool", "at"),
    sqlite_with_rowid=False,
)
Index("usage_sample_at", USAGE_SAMPLE.c.at)

HISTORY: Final = Table(
    "history",
    METADATA,
    needed("id", Integer),
    needed("forgotten", BigInteger),  # what ended until then may have been dropped
    Column("counted", BigInteger, nullable=False, server_default=text("0")),  # how far time has been counted
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)

SCHEMA_VERSION: Final = Table(
    "schema_version",
    METADATA,
    needed("id", Integer),
    needed("revision", BigInteger),
    needed("oldest_code", BigInteger),  # the oldest revision whose code may still run on this schema
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="one_row"),
)
