"""Statements over whole batches: one parameter is an array, one round trip serves any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    LargeBinary,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    any_,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    null,
    select,
    text,
    union_all,
    update,
)

# The same construct as for the shared statements, which SQLite compiles too.
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.types import TypeEngine

from ipamd.backends.interface import BlockOwner
from ipamd.backends.sql.postgres.locking import LINE_KEY
from ipamd.backends.sql.postgres.searching import SearchKind
from ipamd.backends.sql.schema import (
    ALLOCATION,
    ALLOCATION_COLUMNS,
    BLOCK,
    CATALOGUE,
    CHANGE_LOG,
    CONTACT,
    HISTORY,
    RELEASE,
    RESERVATION,
    SCHEMA_VERSION,
    TOKEN_USE,
)
from ipamd.backends.sql.session import Statement, Values
from ipamd.backends.sql.statements import (
    BLOCK_COLUMNS,
    keep_each_undo,
    keep_last_release,
    owned_by,
    releases_where,
)
from ipamd.backends.sql.statements import BLOCKS_BETWEEN as BLOCKS_BETWEEN_UNLOCKED

Kinds = dict[str, TypeEngine[Any]]

PLACE: Final = "place"
"""The column that numbers the rows of an array, from 1."""


def columns_of(rows: Sequence[Values]) -> Values:
    """Rows as a driver takes them: an array for each column."""
    return tuple(zip(*rows, strict=True))


def _given(
    kinds: Kinds, *, numbered: bool = False, of: str = "all"
) -> tuple[TableValuedAlias, tuple[str, ...]]:
    """The rows that a statement is given, and the names of its array parameters, which begin with `of`."""
    names = tuple(f"{of}_{name}" for name in kinds)
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in zip(names, kinds.values(), strict=True)]
    columns = [column(name, kind) for name, kind in kinds.items()]
    unnested = func.unnest(*arrays).table_valued(
        *columns, name=f"{of}_given", with_ordinality=PLACE if numbered else None
    )
    return unnested.render_derived(), names


def _kinds(columns: Sequence[Column[Any]]) -> Kinds:
    return {one.name: one.type for one in columns}


def _columns(table: Table, *leave_out: str) -> list[Column[Any]]:
    return [one for one in table.columns if one.name not in leave_out]


def _upsert(table: Table, *leave_out: str) -> tuple[Upsert, tuple[str, ...]]:
    columns = _columns(table, *leave_out)
    given, names = _given(_kinds(columns))
    inserted = [one.name for one in columns]
    return Upsert(table).from_select(inserted, select(*(given.c[name] for name in inserted))), names


# Holders: their locks, what they have, their releases.

_KEYS, _KEY_NAMES = _given({"key": BigInteger()})

_TRY_LOCKS: Final = (
    "SELECT set_config('ipamd.busy', coalesce(string_agg(key::text, ' '), ''), true)"
    " FROM unnest('{KEYS}'::bigint[]) AS given(key) WHERE NOT pg_try_advisory_xact_lock(key)"
)
_BUSY: Final = "coalesce(current_setting('ipamd.busy', true), '')"


def try_locks(keys: Iterable[int]) -> str:
    """Plain text that tries to lock keys, so that it can be said together with what begins a transaction.

    Plain text has no answer. It notes the keys that others have in a setting of the transaction, which
    `FOUND_OF_DIGESTS` tells.
    """
    return _TRY_LOCKS.replace("KEYS", ",".join(map(str, keys)))


WAIT_FOR_LOCKS: Final = Statement(
    select(func.pg_advisory_xact_lock(_KEYS.c.key)).select_from(_KEYS), _KEY_NAMES
)
TRY_SHARED_LOCKS: Final = Statement(
    select(_KEYS.c.key, func.pg_try_advisory_xact_lock_shared(_KEYS.c.key)).select_from(_KEYS), _KEY_NAMES
)
WAIT_FOR_SHARED_LOCKS: Final = Statement(
    select(func.pg_advisory_xact_lock_shared(_KEYS.c.key)).select_from(_KEYS), _KEY_NAMES
)

ENTER_LINE: Final = Statement(select(func.pg_advisory_xact_lock(literal_column(str(LINE_KEY)))), ())
"""Numbers of the line are committed in their order."""


def _found_of_digests() -> Statement:
    """What holders have, what is remembered of them, and what `try_locks` noted, in one round trip.

    Each row has the columns of one of the three; those of the others are null. The last tells what is busy.
    """
    given, names = _given({"digest": LargeBinary()})
    # A search for each holder, whose order only the index over digests has: see `_is_live`.
    of_one = select(*ALLOCATION_COLUMNS).where(
        ALLOCATION.c.digest == given.c.digest, ALLOCATION.c.until.is_(None)
    )
    live = of_one.order_by(ALLOCATION.c.digest, ALLOCATION.c.position).lateral("live")
    (name,) = names
    of_any = RELEASE.c.digest == any_(bindparam(name, type_=ARRAY(LargeBinary())))
    releases = releases_where(of_any).subquery("releases")
    busy = literal_column(_BUSY, Text())
    no_allocation = [null().cast(one.type) for one in ALLOCATION_COLUMNS]
    no_release = [null().cast(one.type) for one in releases.c]
    not_told = null().cast(Text())
    return Statement(
        union_all(
            select(*(live.c[one.name] for one in ALLOCATION_COLUMNS), *no_release, not_told).select_from(
                given.join(live, text("true"))
            ),
            select(*no_allocation, *releases.c, not_told),
            select(*no_allocation, *no_release, busy),
        ),
        names,
    )


FOUND_OF_DIGESTS: Final = _found_of_digests()


class FoundRows(NamedTuple):
    """The answer to `FOUND_OF_DIGESTS` in its parts."""

    live: list[Values]
    releases: list[Values]
    busy: frozenset[int]


def found_rows(rows: Sequence[Sequence[Any]]) -> FoundRows:
    """Take the answer to `FOUND_OF_DIGESTS` apart."""
    *known, (*_, busy) = rows
    width = len(ALLOCATION_COLUMNS)
    live = [tuple(row[:width]) for row in known if row[0] is not None]
    releases = [tuple(row[width:-1]) for row in known if row[0] is None]
    return FoundRows(live, releases, frozenset(map(int, busy.split())))


def _is_live(given: TableValuedAlias) -> ColumnElement[bool]:
    """The live row with a given id, found by its id.

    PostgreSQL plans while the table is empty, takes a condition that few rows meet for one that none will
    ever meet, and reads the whole of an index that has it. It knows no such index for a sum.
    """
    return (ALLOCATION.c.id == given.c.row) & (ALLOCATION.c.until + literal_column("0")).is_(None)


def _end() -> Statement:
    given, names = _given(
        {"ended": BigInteger(), "how": Text(), "by": Text(), "why": Text(), "row": BigInteger()}
    )
    return Statement(
        update(ALLOCATION)
        .where(_is_live(given))
        .values(
            until=given.c.ended,
            ending=given.c.how,
            ended_by=given.c.by,
            reason=given.c.why,
            seat=null(),
            slot=literal_column("0"),
        ),
        names,
    )


def _drop() -> Statement:
    given, names = _given({"row": BigInteger()})
    return Statement(delete(ALLOCATION).where(_is_live(given)), names)


def _repeat() -> Statement:
    kinds: Kinds = {name: BigInteger() for name in ("count", "in_boot", "at_uptime")}
    kinds |= {"lives_in": Text(), **{name: BigInteger() for name in ("device", "inode", "row")}}
    given, names = _given(kinds)
    changed = {
        "generation": given.c["count"],
        "repeated_boot": given.c.in_boot,
        "repeated_uptime": given.c.at_uptime,
        "boot": given.c.lives_in,
        "netns_device": given.c.device,
        "netns_inode": given.c.inode,
    }
    return Statement(update(ALLOCATION).where(_is_live(given)).values(changed), names)


END_ALLOCATIONS: Final = _end()
DROP_ALLOCATIONS: Final = _drop()
REPEAT_ALLOCATIONS: Final = _repeat()


def _remember(keep: Callable[[Upsert], Upsert]) -> Statement:
    upsert, names = _upsert(RELEASE, "id")
    return Statement(keep(upsert), names)


REMEMBER_RELEASES: Final = _remember(keep_last_release)
REMEMBER_UNDOS: Final = _remember(keep_each_undo)

# A unit of work may be writing one of these: it is left for the next time, so that nobody waits for both.
FORGET_RELEASES: Final = Statement(
    delete(RELEASE).where(
        RELEASE.c.id.in_(
            select(RELEASE.c.id)
            .where(RELEASE.c.until <= bindparam("moment"))
            .limit(bindparam("piece"))
            .with_for_update(skip_locked=True)
        )
    ),
    ("moment", "piece"),
)

# Two replicas that dropped the same rows in different orders would wait for each other: so one at a time.
LOCK_HISTORY: Final = Statement(select(HISTORY.c.id).with_for_update(skip_locked=True), ())

# Blocks.


def _block_update() -> tuple[Update, tuple[str, ...]]:
    given, names = _given(_kinds(BLOCK_COLUMNS), of="block")
    return (
        update(BLOCK)
        .where(BLOCK.c.pool == given.c.pool, BLOCK.c.first == given.c.first)
        .values({one.name: given.c[one.name] for one in BLOCK_COLUMNS[2:]}),
        names,
    )


def _carve_blocks() -> Statement:
    upsert, names = _upsert(BLOCK)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["pool", "first"]), names)


WRITE_BLOCKS: Final = Statement(*_block_update())
CARVE_BLOCKS: Final = _carve_blocks()

BLOCK_KEYS: Final = (BLOCK.c.pool, BLOCK.c.first)


def _numbered(*, columns: Sequence[Column[Any]], numbered: bool = False) -> tuple[Select[Any], Any, Any]:
    given, names = _given(_kinds(BLOCK_KEYS), numbered=numbered)
    meant = (BLOCK.c.pool == given.c.pool) & (BLOCK.c.first == given.c.first)
    return select(*columns).select_from(given.join(BLOCK, meant)), given, names


def _lock_free_blocks() -> Statement:
    found, _, names = _numbered(columns=BLOCK_COLUMNS)
    return Statement(found.with_for_update(of=BLOCK, skip_locked=True), names)


def _wait_for_blocks() -> Statement:
    """In the order in which they are given: rows are locked as they leave the sort."""
    found, given, names = _numbered(columns=BLOCK_COLUMNS, numbered=True)
    return Statement(found.order_by(given.c[PLACE]).with_for_update(of=BLOCK), names)


def _existing_blocks() -> Statement:
    found, _, names = _numbered(columns=BLOCK_KEYS)
    return Statement(found, names)


LOCK_FREE_BLOCKS: Final = _lock_free_blocks()
WAIT_FOR_BLOCKS: Final = _wait_for_blocks()
EXISTING_BLOCKS: Final = _existing_blocks()

BLOCKS_BETWEEN: Final = Statement(
    BLOCKS_BETWEEN_UNLOCKED.construct.with_for_update(of=BLOCK),  # type: ignore[attr-defined]  # it is a Select
    BLOCKS_BETWEEN_UNLOCKED.parameters,
)

# Searches for room: a row of the arrays is one search, a lateral query answers it.

_SEARCH: Final[Kinds] = {
    "pool": Text(),
    "cluster": Text(),
    "node": Text(),
    "free_before": BigInteger(),
    "most": BigInteger(),
}


_PREFIX_SEARCH: Final[Kinds] = {**_SEARCH, "most_allocated": BigInteger()}


def _with_free(kind: SearchKind, columns: Sequence[Any], given: TableValuedAlias, most: Any) -> Select[Any]:
    owner, is_for_prefix = kind
    of_node = (BLOCK.c.cluster == given.c.cluster) & (BLOCK.c.node == given.c.node)
    query = select(*columns).where(
        BLOCK.c.pool == given.c.pool,
        BLOCK.c.next_free_since <= given.c.free_before,
        *owned_by(owner, of_node),
    )
    if is_for_prefix:
        query = query.where(BLOCK.c.allocated <= given.c.most_allocated)
        return query.order_by(BLOCK.c.next_free_since, BLOCK.c.first.desc()).limit(most)
    return query.order_by(BLOCK.c.next_free_since, BLOCK.c.first).limit(most)


def _searched(kind: SearchKind) -> Kinds:
    return _PREFIX_SEARCH if kind[1] else _SEARCH


def _lock_with_free(kind: SearchKind) -> Statement:
    """The place of each search with a block that it locked, as far as nobody else holds it."""
    given, names = _given(_searched(kind), numbered=True)
    found = _with_free(kind, BLOCK_COLUMNS, given, given.c.most).with_for_update(skip_locked=True)
    lateral = found.lateral("found")
    return Statement(
        select(given.c[PLACE], *(lateral.c[one.name] for one in BLOCK_COLUMNS)).select_from(
            given.join(lateral, text("true"))
        ),
        names,
    )


def _more_with_free(kind: SearchKind) -> Statement:
    """The places of the searches that find more blocks than `most`, whoever holds them."""
    given, names = _given(_searched(kind), numbered=True)
    next_one = _with_free(kind, [BLOCK.c.first], given, literal_column("1")).offset(given.c.most)
    return Statement(select(given.c[PLACE]).where(next_one.correlate(given).exists()), names)


def _some_with_free(kind: SearchKind) -> Statement:
    """The numbers of blocks for each search, whoever holds them."""
    given, names = _given(_searched(kind))
    lateral = _with_free(kind, BLOCK_KEYS, given, given.c.most).lateral("found")
    return Statement(
        select(lateral.c.pool, lateral.c.first).select_from(given.join(lateral, text("true"))), names
    )


_KINDS: Final = [(owner, is_for_prefix) for owner in BlockOwner for is_for_prefix in (False, True)]
LOCK_WITH_FREE: Final = {kind: _lock_with_free(kind) for kind in _KINDS}
MORE_WITH_FREE: Final = {kind: _more_with_free(kind) for kind in _KINDS}
WITH_FREE: Final = {kind: _some_with_free(kind) for kind in _KINDS}

# The catalogue.

_REVISION: Final = select(CATALOGUE.c.revision, SCHEMA_VERSION.c.revision, SCHEMA_VERSION.c.oldest_code)
REVISION_AND_SCHEMA: Final = _REVISION.where(SCHEMA_VERSION.c.id == CATALOGUE.c.id)
REVISION: Final = Statement(REVISION_AND_SCHEMA, ())
"""With what the last migration left, so that no unit of work passes a schema that it does not fit."""


def _written(*, begins: bool) -> Statement:
    """`REVISION`, and how many blocks were written, of a statement that writes them.

    If something begins, it writes new allocations too, which come first among its parameters.
    """
    blocks, names = _block_update()
    written = blocks.returning(BLOCK.c.first).cte("written")
    number = select(func.count()).select_from(written).scalar_subquery()
    question = REVISION_AND_SCHEMA.add_columns(number)
    if begins:
        insertion, of_rows = _upsert(ALLOCATION, "id", "listed")
        question = question.add_cte(insertion.cte("begun"))
        names = (*of_rows, *names)
    return Statement(question, names)


NO_BLOCKS: Final[Values] = ((),) * len(BLOCK_COLUMNS)
"""The arrays of a statement that writes blocks, if there are none to write."""

WRITTEN: Final = {begins: _written(begins=begins) for begins in (False, True)}

PINNED_REVISION: Final = Statement(
    _REVISION.where(SCHEMA_VERSION.c.id == CATALOGUE.c.id).with_for_update(read=True, of=CATALOGUE), ()
)


def _note_changes() -> Statement:
    insertion, names = _upsert(CHANGE_LOG, "id")
    return Statement(insertion, names)


NOTE_CHANGES: Final = _note_changes()


def _save_reservations() -> Statement:
    upsert, names = _upsert(RESERVATION)
    others = {column.name: upsert.excluded[column.name] for column in _columns(RESERVATION, "id")}
    return Statement(upsert.on_conflict_do_update(index_elements=["id"], set_=others), names)


SAVE_RESERVATIONS: Final = _save_reservations()

# Nodes and tokens.


def _save_contacts() -> Statement:
    upsert, names = _upsert(CONTACT)
    return Statement(
        upsert.on_conflict_do_update(
            index_elements=["cluster", "node"], set_={"heard": upsert.excluded.heard}
        ),
        names,
    )


def _save_uses() -> Statement:
    upsert, names = _upsert(TOKEN_USE)
    return Statement(
        upsert.on_conflict_do_update(index_elements=["token"], set_={"used": upsert.excluded.used}), names
    )


SAVE_CONTACTS: Final = _save_contacts()
SAVE_USES: Final = _save_uses()

# Marks behind all that has begun to write: what begins to write later has a higher number.

MARK: Final = Statement(select(func.pg_current_xact_id().cast(Text)), ())
OLDEST_WRITER: Final = Statement(select(func.pg_snapshot_xmin(func.pg_current_snapshot()).cast(Text)), ())
