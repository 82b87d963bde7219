"""Statements over holders: their locks, what they have, and their releases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    LargeBinary,
    Text,
    any_,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.sql.postgres.arrays.given import rows_given, upsert_into
from ipamd.backends.sql.postgres.locking import LINE_KEY
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, RELEASE
from ipamd.backends.sql.session import Statement, Values
from ipamd.backends.sql.statements import keep_each_undo, keep_last_release, releases_where

_KEYS, _KEY_NAMES = rows_given({"key": BigInteger()})


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
    given, names = rows_given({"digest": LargeBinary()})
    # A search for each holder, whose order only the index over digests has: see `allocations._is_live`.
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


def _remember(keep: Callable[[Upsert], Upsert]) -> Statement:
    upsert, names = upsert_into(RELEASE, "id")
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
