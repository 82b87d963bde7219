"""The statements of a unit of work and of a change, each for a whole batch and compiled once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ClauseElement,
    ColumnElement,
    CompoundSelect,
    Integer,
    Table,
    TextClause,
    Values,
    and_,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    literal_column,
    not_,
    null,
    select,
    text,
    tuple_,
    union_all,
    update,
)

# SQLite took PostgreSQL's `ON CONFLICT`, and SQLAlchemy's construct for PostgreSQL compiles for both.
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from ipamd.backends.interface import BlockOwner
from ipamd.backends.sql.schema import (
    ALLOCATION,
    ALLOCATION_COLUMNS,
    BLOCK,
    BOOT,
    CARVING,
    CATALOGUE,
    CENSUS,
    CONTACT,
    HISTORY,
    NODE,
    POD_NETWORK,
    POOL,
    QUOTA,
    RELEASE,
    REMOVED,
    RESERVATION,
    RESTORATION,
    SCHEMA_VERSION,
    TOKEN,
    TOKEN_USE,
)
from ipamd.backends.sql.session import Statement

T = TypeVar("T")

LARGEST_LIST: Final = 512
"""More keys than this are looked up in several statements."""

BLOCK_COLUMNS: Final = (
    BLOCK.c.pool,
    BLOCK.c.first,
    BLOCK.c.cluster,
    BLOCK.c.node,
    BLOCK.c.free_since,
    BLOCK.c.allocated,
    BLOCK.c.last_freed,
    BLOCK.c.next_free_since,
    BLOCK.c.leased,
)
BOOT_COLUMNS: Final = (BOOT.c.identity, BOOT.c.number)


def padded(keys: Sequence[T]) -> list[T]:
    """A list filled up to a power of two with its last key, so that few lengths are compiled."""
    length = 1 << (len(keys) - 1).bit_length()
    return [*keys, *[keys[-1]] * (length - len(keys))]


def in_pieces(keys: Sequence[T]) -> list[list[T]]:
    """Lists of keys, each padded, none longer than a statement takes."""
    starts = range(0, len(keys), LARGEST_LIST)
    return [padded(keys[start : start + LARGEST_LIST]) for start in starts]


def numbered(length: int) -> tuple[list[BindParameter[Any]], tuple[str, ...]]:
    names = tuple(f"key_{number}" for number in range(length))
    return [bindparam(name) for name in names], names


def _added(table: Table, *leave_out: str, **fixed: Any) -> Statement:
    names = tuple(column.name for column in table.columns if column.name not in leave_out)
    given: dict[str, Any] = {name: bindparam(name) for name in names}
    return Statement(insert(table).values(given | fixed).inline(), names)


def upsert_into(table: Table, *leave_out: str) -> tuple[Upsert, tuple[str, ...]]:
    names = tuple(column.name for column in table.columns if column.name not in leave_out)
    return Upsert(table).values({name: bindparam(name) for name in names}).inline(), names


def replaced(table: Table) -> Statement:
    """Add a row, or put it in the place of the one with its key."""
    upsert, names = upsert_into(table)
    keys = [column.name for column in table.primary_key]
    others = {name: upsert.excluded[name] for name in names if name not in keys}
    return Statement(upsert.on_conflict_do_update(index_elements=keys, set_=others), names)


# Allocations.

BEGIN_ALLOCATION: Final = _added(ALLOCATION, "id", "listed")
BEGIN_UNLISTED: Final = _added(ALLOCATION, "id", "listed", listed=literal_column("0"))
"""The same for SQLite, whose deferred indexes take it later."""

LIST_ALLOCATIONS: Final = Statement(
    update(ALLOCATION)
    .where(
        ALLOCATION.c.id.in_(
            select(ALLOCATION.c.id)
            .where(text("NOT listed"))
            .order_by(ALLOCATION.c.id)
            .limit(bindparam("most"))
        )
    )
    .values(listed=literal_column("1")),
    ("most",),
)
"""Take the oldest rows that are not listed into the deferred indexes."""

END_ALLOCATION: Final = Statement(
    update(ALLOCATION)
    .where(ALLOCATION.c.id == bindparam("row"), ALLOCATION.c.until.is_(None))
    .values(
        until=bindparam("ended"),
        ending=bindparam("how"),
        ended_by=bindparam("by"),
        reason=bindparam("why"),
        seat=null(),
        slot=literal_column("0"),
    ),
    ("ended", "how", "by", "why", "row"),
)

DROP_ALLOCATION: Final = Statement(
    delete(ALLOCATION).where(ALLOCATION.c.id == bindparam("row"), ALLOCATION.c.until.is_(None)), ("row",)
)

REPEAT_ALLOCATION: Final = Statement(
    update(ALLOCATION)
    .where(ALLOCATION.c.id == bindparam("row"), ALLOCATION.c.until.is_(None))
    .values(
        generation=bindparam("count"),
        repeated_boot=bindparam("in_boot"),
        repeated_uptime=bindparam("at_uptime"),
        boot=bindparam("lives_in"),
        netns_device=bindparam("device"),
        netns_inode=bindparam("inode"),
    ),
    ("count", "in_boot", "at_uptime", "lives_in", "device", "inode", "row"),
)


SAVE_OWNER: Final = Statement(
    update(ALLOCATION)
    .where(ALLOCATION.c.id == bindparam("row"), ALLOCATION.c.until.is_(None))
    .values(away_since=bindparam("away"), generation=bindparam("count")),
    ("away", "count", "row"),
)


def _lowered(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A value, or the given one if that is less."""
    given = bindparam(name, type_=BigInteger())
    return case((column > given, given), else_=column)


SET_BACK_ALLOCATION: Final = Statement(
    update(ALLOCATION)
    .where(ALLOCATION.c.id == bindparam("row"))
    .values(
        since=_lowered(ALLOCATION.c.since, "begun"),
        until=_lowered(ALLOCATION.c.until, "ended"),
        away_since=_lowered(ALLOCATION.c.away_since, "ended"),
    ),
    ("begun", "ended", "row"),
)

LIVE_BY_ADDRESS: Final = Statement(
    select(*ALLOCATION_COLUMNS).where(
        ALLOCATION.c.space == bindparam("in_space"),
        ALLOCATION.c.address == bindparam("bytes"),
        ALLOCATION.c.until.is_(None),
        ALLOCATION.c.slot == literal_column("0"),
    ),
    ("in_space", "bytes"),
)


@lru_cache
def live_by_address(length: int) -> Statement:
    """The owners of some addresses of a space, and their holders."""
    keys, names = numbered(length)
    return Statement(
        select(*ALLOCATION_COLUMNS)
        .where(
            ALLOCATION.c.space == bindparam("in_space"),
            ALLOCATION.c.address.in_(keys),
            ALLOCATION.c.until.is_(None),
        )
        .order_by(ALLOCATION.c.address, ALLOCATION.c.slot),
        ("in_space", *names),
    )


@lru_cache
def live_by_digest(length: int) -> Statement:
    """What some holders have, by holder and position."""
    keys, names = numbered(length)
    return Statement(
        select(*ALLOCATION_COLUMNS)
        .where(ALLOCATION.c.digest.in_(keys), ALLOCATION.c.until.is_(None))
        .order_by(ALLOCATION.c.digest, ALLOCATION.c.position),
        names,
    )


ALLOCATION_BY_ID: Final = Statement(
    select(*ALLOCATION_COLUMNS).where(ALLOCATION.c.id == bindparam("row")), ("row",)
)
ALLOCATION_BY_KEY: Final = Statement(
    select(*ALLOCATION_COLUMNS)
    .where(ALLOCATION.c.idempotency_key == bindparam("key"))
    .order_by(ALLOCATION.c.position),
    ("key",),
)

# Releases that are remembered.


@lru_cache
def releases_by_digest(length: int) -> Statement:
    """The releases that are remembered of some holders."""
    keys, names = numbered(length)
    return Statement(releases_where(RELEASE.c.digest.in_(keys)), names)


def releases_where(condition: ColumnElement[bool]) -> CompoundSelect[Any]:
    """The releases, the undos among them, that meet a condition: each kind by an index of its own.

    Both are partial, and a query that does not say which kind it means would read all that is remembered.
    """
    columns = (
        RELEASE.c.digest,
        RELEASE.c.order_boot,
        RELEASE.c.order_uptime,
        RELEASE.c.undo,
        RELEASE.c.until,
    )
    kinds = (select(*columns).where(condition, text(kind)) for kind in ("NOT undo", "undo"))
    return union_all(*kinds)


def keep_last_release(upsert: Upsert) -> Upsert:
    """Of a holder's releases keep the last: it overtakes whatever the earlier ones do."""
    new = upsert.excluded
    later = tuple_(new.order_boot, new.order_uptime, new.until) > tuple_(
        RELEASE.c.order_boot, RELEASE.c.order_uptime, RELEASE.c.until
    )
    changed = {name: new[name] for name in ("order_boot", "order_uptime", "until")}
    return upsert.on_conflict_do_update(
        index_elements=["digest"], index_where=text("NOT undo"), set_=changed, where=later
    )


def keep_each_undo(upsert: Upsert) -> Upsert:
    """Keep each of a holder's undos: an undo means one ADD."""
    return upsert.on_conflict_do_update(
        index_elements=["digest", "order_boot", "order_uptime"],
        index_where=text("undo"),
        set_={"until": upsert.excluded.until},
        where=upsert.excluded.until > RELEASE.c.until,
    )


def _remember(keep: Callable[[Upsert], Upsert]) -> Statement:
    upsert, names = upsert_into(RELEASE, "id")
    return Statement(keep(upsert), names)


REMEMBER_RELEASE: Final = _remember(keep_last_release)
REMEMBER_UNDO: Final = _remember(keep_each_undo)

FORGET_RELEASES: Final = Statement(
    delete(RELEASE).where(
        RELEASE.c.id.in_(
            select(RELEASE.c.id).where(RELEASE.c.until <= bindparam("moment")).limit(bindparam("piece"))
        )
    ),
    ("moment", "piece"),
)

SHORTEN_RELEASES: Final = Statement(
    update(RELEASE).where(RELEASE.c.until > bindparam("latest")).values(until=bindparam("latest")),
    ("latest",),
)
RELEASES_AFTER: Final = Statement(
    select(func.count()).select_from(RELEASE).where(RELEASE.c.until > bindparam("moment")), ("moment",)
)

# Time itself.

COUNTED: Final = Statement(select(HISTORY.c.counted, HISTORY.c.forgotten), ())
COUNT_TIME: Final = Statement(
    update(HISTORY).where(HISTORY.c.counted < bindparam("moment")).values(counted=bindparam("moment")),
    ("moment",),
)
SET_TIME_BACK: Final = Statement(
    update(HISTORY).values(
        counted=_lowered(HISTORY.c.counted, "moment"), forgotten=_lowered(HISTORY.c.forgotten, "moment")
    ),
    ("moment",),
)

# Blocks.

WRITE_BLOCK: Final = Statement(
    update(BLOCK)
    .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first == bindparam("number"))
    .values({column.name: bindparam(f"new_{column.name}") for column in BLOCK_COLUMNS[2:]}),
    ("of_pool", "number", *(f"new_{column.name}" for column in BLOCK_COLUMNS[2:])),
)


def _carve_block() -> Statement:
    upsert, names = upsert_into(BLOCK)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["pool", "first"]), names)


CARVE_BLOCK: Final = _carve_block()


@lru_cache
def blocks_by_number(length: int) -> Statement:
    """Blocks of a pool by their numbers, in that order."""
    keys, names = numbered(length)
    return Statement(
        select(*BLOCK_COLUMNS)
        .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first.in_(keys))
        .order_by(BLOCK.c.first),
        ("of_pool", *names),
    )


def owned_by(owner: BlockOwner, of_node: ColumnElement[bool]) -> Sequence[ColumnElement[bool] | TextClause]:
    """The conditions on a block's owner; `of_node` says that it is the node that looks."""
    match owner:
        case BlockOwner.ANY:
            return ()
        case BlockOwner.OWN:
            return (of_node,)
        case BlockOwner.NONE:
            return BLOCK.c.cluster.is_(None), BLOCK.c.node.is_(None)
        case BlockOwner.OTHER_WHILE_EMPTY:
            # As text, for a predicate with a parameter does not match that of the partial index.
            return text("allocated = 0"), BLOCK.c.node.is_not(None), not_(of_node)


def _blocks_with_free(owner: BlockOwner) -> Statement:
    of_node = (BLOCK.c.cluster == bindparam("of_cluster")) & (BLOCK.c.node == bindparam("of_node"))
    names: tuple[str, ...] = ("of_pool", "free_before", "most")
    if owner in (BlockOwner.OWN, BlockOwner.OTHER_WHILE_EMPTY):
        names = (*names, "of_cluster", "of_node")
    return Statement(
        select(*BLOCK_COLUMNS)
        .where(
            BLOCK.c.pool == bindparam("of_pool"),
            BLOCK.c.next_free_since <= bindparam("free_before"),
            *owned_by(owner, of_node),
        )
        .order_by(BLOCK.c.next_free_since, BLOCK.c.first)
        .limit(bindparam("most")),
        names,
    )


BLOCKS_WITH_FREE: Final = {owner: _blocks_with_free(owner) for owner in BlockOwner}

BLOCKS_BETWEEN: Final = Statement(
    select(*BLOCK_COLUMNS)
    .where(
        BLOCK.c.pool == bindparam("of_pool"),
        BLOCK.c.first <= bindparam("last"),
        # The block before the first address may hold it too.
        BLOCK.c.first
        >= func.coalesce(
            select(BLOCK.c.first)
            .where(BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first <= bindparam("from"))
            .order_by(BLOCK.c.first.desc())
            .limit(literal_column("1"))  # not max(), which PostgreSQL has for no bytes
            .correlate(None)
            .scalar_subquery(),
            bindparam("from"),
        ),
    )
    .order_by(BLOCK.c.first),
    ("of_pool", "from", "last"),
)

BLOCKS_OF_NODE: Final = Statement(
    select(*BLOCK_COLUMNS)
    .where(
        BLOCK.c.pool == bindparam("of_pool"),
        BLOCK.c.cluster == bindparam("of_cluster"),
        BLOCK.c.node == bindparam("of_node"),
    )
    .order_by(BLOCK.c.first),
    ("of_pool", "of_cluster", "of_node"),
)

BLOCKS_FREED_AFTER: Final = Statement(
    select(*BLOCK_COLUMNS).where(
        BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.last_freed > bindparam("moment")
    ),
    ("of_pool", "moment"),
)


MOST_STRETCHES: Final = 256


class GivenRows(Values):
    """A small table out of parameters: `VALUES`, whose columns SQLite cannot name.

    PostgreSQL plans each part of a `UNION ALL` by itself: 256 of them take 50 ms.
    """

    inherit_cache = False


@compiles(GivenRows)
def _as_values(element: GivenRows, compiler: SQLCompiler, **options: Any) -> str:
    written: str = compiler.visit_values(element, **options)  # type: ignore[no-untyped-call]
    return written


@compiles(GivenRows, "sqlite")
def _as_union(element: GivenRows, compiler: SQLCompiler, **_options: Any) -> str:
    names = [column.name for column in element.columns]
    rows = (
        ", ".join(f"{compiler.process(value)} AS {name}" for name, value in zip(names, row, strict=True))
        for row in chain.from_iterable(element._data)  # it has no public name
    )
    return f"({' UNION ALL '.join(f'SELECT {row}' for row in rows)}) AS {element.name}"


def given_rows(length: int, **columns: TypeEngine[Any]) -> tuple[GivenRows, tuple[str, ...]]:
    """A small table of what is asked about, out of parameters, and their names: each row is one search."""
    rows = [
        (
            literal_column(str(number), Integer()),
            *(bindparam(f"{name}_{number}", type_=kind) for name, kind in columns.items()),
        )
        for number in range(length)
    ]
    names = tuple(f"{name}_{number}" for number in range(length) for name in columns)
    named = (column("number", Integer()), *(column(name, kind) for name, kind in columns.items()))
    made = GivenRows(*named, name="asked").data(rows)
    return made, names


@lru_cache
def fill_of_pools(length: int) -> Statement:
    """Sums over the blocks of some pools, each from an index alone; null for a pool without blocks.

    SQLite adds up two columns in one go more slowly than each by itself.
    """
    return _fill(length, func.sum(BLOCK.c.allocated))


@lru_cache
def rest_of_fill(length: int) -> Statement:
    """The same, but for what is allocated: none of it reads more than an entry, or what is leased."""
    return _fill(length)


def _fill(length: int, *sums: ColumnElement[Any]) -> Statement:
    asked, names = given_rows(length, pool=BLOCK.c.pool.type)
    of_pool = BLOCK.c.pool == asked.c.pool
    ready = BLOCK.c.next_free_since.is_not(None)
    facts = (
        select(func.max(BLOCK.c.last_freed)).where(of_pool),
        select(func.min(BLOCK.c.next_free_since)).where(of_pool, ready),
        select(func.sum(BLOCK.c.leased)).where(of_pool, text("leased > 0")),
        *(select(added_up).where(of_pool) for added_up in sums),
    )
    found = [fact.scalar_subquery() for fact in facts]
    return Statement(select(asked.c.pool, *found, *([] if sums else [null()])), names)


ALLOCATED: Final = Statement(select(BLOCK.c.pool, func.sum(BLOCK.c.allocated)).group_by(BLOCK.c.pool), ())
"""What is allocated in each pool that has blocks, from an index alone."""


@lru_cache
def blocks_freed_after(length: int) -> Statement:
    """The blocks of some pools, each named with a moment, that were freed after it."""
    asked, names = given_rows(length, pool=BLOCK.c.pool.type, moment=BLOCK.c.last_freed.type)
    return Statement(
        select(*BLOCK_COLUMNS).select_from(
            asked.join(BLOCK, and_(BLOCK.c.pool == asked.c.pool, BLOCK.c.last_freed > asked.c.moment))
        ),
        names,
    )


@lru_cache
def blocks_in(length: int) -> Statement:
    """The blocks in some stretches, each of a pool."""
    kind = BLOCK.c.first.type
    asked, names = given_rows(length, pool=BLOCK.c.pool.type, begin=kind, finish=kind)
    within = BLOCK.c.first.between(asked.c.begin, asked.c.finish)
    return Statement(
        select(*BLOCK_COLUMNS).select_from(asked.join(BLOCK, and_(BLOCK.c.pool == asked.c.pool, within))),
        names,
    )


@lru_cache
def allocated_in(length: int) -> Statement:
    """The number of each stretch of a pool, and how much is allocated in it.

    The bounds are one small table, so that each stretch is one search in the index of the pool's blocks.
    """
    asked, names = given_rows(length, begin=BLOCK.c.first.type, finish=BLOCK.c.first.type)
    there = (BLOCK.c.pool == bindparam("of_pool"), BLOCK.c.first.between(asked.c.begin, asked.c.finish))
    allocated = select(func.sum(BLOCK.c.allocated)).where(*there).scalar_subquery()
    return Statement(
        select(asked.c.number, func.coalesce(allocated, literal_column("0"))), ("of_pool", *names)
    )


CURSOR: Final = Statement(
    select(CARVING.c.reached).where(CARVING.c.pool == bindparam("of_pool")), ("of_pool",)
)
MOVE_CURSOR: Final = replaced(CARVING)
LOWER_CURSOR: Final = Statement(
    update(CARVING)
    .where(CARVING.c.pool == bindparam("of_pool"), CARVING.c.reached > bindparam("back_to"))
    .values(reached=bindparam("back_to")),
    ("of_pool", "back_to"),
)

# The catalogue.

REVISION: Final = Statement(select(CATALOGUE.c.revision), ())
RAISE_REVISION: Final = Statement(
    update(CATALOGUE).values(revision=CATALOGUE.c.revision + bindparam("raised_by", type_=BigInteger())),
    ("raised_by",),
)

SAVE_POOL: Final = replaced(POOL)
SAVE_RESERVATION: Final = replaced(RESERVATION)
SAVE_QUOTA: Final = replaced(QUOTA)
SAVE_NODE: Final = replaced(NODE)
SAVE_TOKEN: Final = replaced(TOKEN)
SAVE_NETWORK: Final = replaced(POD_NETWORK)
SAVE_RESTORATION: Final = replaced(RESTORATION)
NOTE_REMOVAL: Final = replaced(REMOVED)


def _changed_after(table: Table) -> Statement:
    return Statement(select(table).where(table.c.revision > bindparam("known")), ("known",))


POOL_BY_NAME: Final = Statement(select(POOL).where(POOL.c.name == bindparam("of_pool")), ("of_pool",))
POOLS_AFTER: Final = _changed_after(POOL)
RESERVATIONS_AFTER: Final = _changed_after(RESERVATION)
QUOTAS_AFTER: Final = _changed_after(QUOTA)
NODES_AFTER: Final = _changed_after(NODE)
TOKENS_AFTER: Final = _changed_after(TOKEN)
NETWORKS_AFTER: Final = _changed_after(POD_NETWORK)
RESTORATION_AFTER: Final = _changed_after(RESTORATION)
REMOVED_AFTER: Final = _changed_after(REMOVED)


def _drop(construct: ClauseElement, *names: str) -> Statement:
    return Statement(construct, names)


DROP_POOL: Final = (
    _drop(delete(BLOCK).where(BLOCK.c.pool == bindparam("of_pool")), "of_pool"),
    _drop(delete(CARVING).where(CARVING.c.pool == bindparam("of_pool")), "of_pool"),
    _drop(delete(POOL).where(POOL.c.name == bindparam("of_pool")), "of_pool"),
)
DROP_RESERVATION: Final = _drop(delete(RESERVATION).where(RESERVATION.c.id == bindparam("row")), "row")
DROP_QUOTA: Final = _drop(delete(QUOTA).where(QUOTA.c.name == bindparam("of_quota")), "of_quota")
DROP_NODE: Final = (
    _drop(
        delete(NODE).where(NODE.c.cluster == bindparam("of_cluster"), NODE.c.name == bindparam("of_node")),
        "of_cluster",
        "of_node",
    ),
    _drop(
        delete(CONTACT).where(
            CONTACT.c.cluster == bindparam("of_cluster"), CONTACT.c.node == bindparam("of_node")
        ),
        "of_cluster",
        "of_node",
    ),
    _drop(
        delete(CENSUS).where(
            CENSUS.c.cluster == bindparam("of_cluster"), CENSUS.c.node == bindparam("of_node")
        ),
        "of_cluster",
        "of_node",
    ),
)

DROP_TOKEN: Final = (
    _drop(delete(TOKEN).where(TOKEN.c.id == bindparam("row")), "row"),
    _drop(delete(TOKEN_USE).where(TOKEN_USE.c.token == bindparam("row")), "row"),
)

# Nodes' boots and last contacts, and when tokens were last used.

BOOTS: Final = Statement(
    select(*BOOT_COLUMNS)
    .where(BOOT.c.cluster == bindparam("of_cluster"), BOOT.c.node == bindparam("of_node"))
    .order_by(BOOT.c.number),
    ("of_cluster", "of_node"),
)
SAVE_BOOT: Final = _added(BOOT)
SAVE_CONTACT: Final = replaced(CONTACT)
SAVE_USE: Final = replaced(TOKEN_USE)


@lru_cache
def contacts(given: tuple[str, ...], *, goes_on: bool) -> Statement:
    """The nodes that have called, by their keys, with what a `ContactQuery` gives; from behind a key on."""
    columns = CONTACT.c.cluster, CONTACT.c.node
    conditions: dict[str, ColumnElement[bool]] = {
        "cluster": CONTACT.c.cluster == bindparam("of_cluster"),
        "name": CONTACT.c.node == bindparam("of_name"),
        "part": CONTACT.c.node.like(bindparam("of_part"), escape="\\"),
    }
    query = select(CONTACT).where(*(conditions[name] for name in given if name != "limit"))
    names = tuple(f"of_{name}" for name in given)
    if "limit" in given:
        query = query.limit(bindparam("of_limit"))
    if goes_on:
        behind = tuple_(bindparam("after_cluster"), bindparam("after_node"))
        query, names = query.where(tuple_(*columns) > behind), (*names, "after_cluster", "after_node")
    return Statement(query.order_by(*columns), names)


def escaped(text: str) -> str:
    """A text as a part of a pattern for LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", text)


USES: Final = Statement(select(TOKEN_USE), ())

SCHEMA: Final = Statement(select(SCHEMA_VERSION.c.revision, SCHEMA_VERSION.c.oldest_code), ())

KNOWS_QUOTAS: Final = 22
"""The oldest revision whose code counts what quotas limit."""

SHUT_OUT_WHO_KNOWS_NO_QUOTAS: Final = Statement(
    update(SCHEMA_VERSION)
    .where(SCHEMA_VERSION.c.oldest_code < literal_column(str(KNOWS_QUOTAS)))
    .values(oldest_code=literal_column(str(KNOWS_QUOTAS))),
    (),
)
