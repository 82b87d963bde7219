"""What quotas count, in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    TextClause,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
)

from ipamd.backends.interface import TallyChange, TallyMoved
from ipamd.backends.sql import statements, terms
from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.schema import ALLOCATION, TALLY, TermKind
from ipamd.backends.sql.schema.term import WITH_ROWS
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.backends.tallies import changed
from ipamd.models.patterns import beginning_of
from ipamd.models.quota import Quota, Tally, TallyUse, quota_weight

LAST: Final = "\U0010ffff"
"""Behind a beginning it is behind all names that begin so."""


def _added() -> Statement:
    upsert, names = statements.upsert_into(TALLY)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["digest"]), names)


SAVE: Final = statements.replaced(TALLY)
ADD: Final = _added()
DROP: Final = Statement(delete(TALLY).where(TALLY.c.digest == bindparam("tally")), ("tally",))
DROP_QUOTA: Final = Statement(delete(TALLY).where(TALLY.c.quota == bindparam("of_quota")), ("of_quota",))

_ORDER: Final = (TALLY.c.used.desc(), TALLY.c.family, TALLY.c.cluster, TALLY.c.namespace)
OF_QUOTA: Final = Statement(
    select(TALLY).where(TALLY.c.quota == bindparam("of_quota")).order_by(*_ORDER).limit(bindparam("most")),
    ("of_quota", "most"),
)
ALL_OF_QUOTA: Final = Statement(select(TALLY).where(TALLY.c.quota == bindparam("of_quota")), ("of_quota",))
MOST_USED: Final = Statement(select(TALLY.c.quota, func.max(TALLY.c.used)).group_by(TALLY.c.quota), ())


@lru_cache
def by_digest(length: int) -> Statement:
    """What some tallies count."""
    keys, names = statements.numbered(length)
    return Statement(select(TALLY.c.digest, TALLY.c.used).where(TALLY.c.digest.in_(keys)), names)


@lru_cache
def locked(length: int) -> Statement:
    """The same, locked in the order of their digests: so do all who change several."""
    keys, names = statements.numbered(length)
    rows = select(TALLY.c.digest, TALLY.c.used).where(TALLY.c.digest.in_(keys))
    return Statement(rows.order_by(TALLY.c.digest).with_for_update(), names)


def _live(
    names: tuple[str, ...], *conditions: ColumnElement[bool] | TextClause, rows: FromClause = ALLOCATION
) -> Statement:
    columns = (ALLOCATION.c.cluster, ALLOCATION.c.namespace, ALLOCATION.c.pool, ALLOCATION.c.space)
    groups = (*columns, func.length(ALLOCATION.c.address), ALLOCATION.c.prefix_length)
    return Statement(
        select(*groups, func.count())
        .select_from(rows)
        .where(ALLOCATION.c.until.is_(None), text("slot = 0"), *conditions)
        .group_by(*(literal_column(str(place)) for place in range(1, len(groups) + 1))),
        names,
    )


def _live_both(
    names: tuple[str, ...],
    of_rows: ColumnElement[bool],
    of_terms: tuple[TextClause, TextClause],
) -> dict[bool, tuple[Statement, ...]]:
    """Without deferred terms, and with them: by terms, and the few that wait for them."""
    listed = _live(names, *of_terms, rows=WITH_ROWS)
    return {False: (_live(names, of_rows),), True: (listed, _live(names, of_rows, terms.WAITING))}


LIVE_NAMED: Final = _live_both(
    ("named",),
    ALLOCATION.c.namespace == bindparam("named"),
    terms.of_values(TermKind.LIVE_OF_WORKLOAD, ":named"),
)
LIVE_BEGUN: Final = _live_both(
    ("first", "last"),
    (ALLOCATION.c.namespace >= bindparam("first")) & (ALLOCATION.c.namespace < bindparam("last")),
    terms.between(TermKind.LIVE_OF_WORKLOAD, ":first", ":last"),
)
"""How many live allocations there are of a namespace, or of those whose names begin so."""


async def read(session: DatabaseSession, wanted: Sequence[Tally]) -> dict[Tally, int]:
    """What tallies count."""
    by_key = {tally.digest: tally for tally in wanted}
    used = dict.fromkeys(wanted, 0)
    for keys in statements.in_pieces(list(by_key)):
        for digest, count in await session.fetch(by_digest(len(keys)), *keys):
            used[by_key[bytes(digest)]] = count
    return used


async def write(session: DatabaseSession, tallies: Mapping[Tally, int]) -> None:
    """Write what tallies count from now on. One that counts nothing has no row."""
    rows = [_values(tally, used) for tally, used in tallies.items() if used]
    if rows:
        await session.run_many(SAVE, rows)
    empty: list[Values] = [(tally.digest,) for tally, used in tallies.items() if not used]
    if empty:
        await session.run_many(DROP, empty)


async def change(session: DatabaseSession, changes: Mapping[Tally, TallyChange]) -> None:
    """Change what tallies count. Raises TallyMoved if one counts more than it may by then.

    Who changes the same tally waits here until the other has committed, and then sees what it counts.
    """
    by_key = {tally.digest: tally for tally in changes}
    found: dict[Tally, int] = {}
    for keys in statements.in_pieces(sorted(by_key)):
        for digest, used in await session.fetch(locked(len(keys)), *keys):
            found[by_key[bytes(digest)]] = used
    after = changed(changes, found)
    new = [_values(tally, used) for tally, used in after.items() if used and tally not in found]
    if new and await session.run_many(ADD, new) != len(new):
        raise TallyMoved  # somebody has counted the first one meanwhile
    await write(session, {tally: used for tally, used in after.items() if tally in found})


async def most(session: DatabaseSession, quota: str, limit: int) -> list[TallyUse]:
    """The tallies of a quota that count most."""
    return [_of(row) for row in await session.fetch(OF_QUOTA, quota, limit)]


async def most_used(session: DatabaseSession) -> dict[str, int]:
    """What the fullest tally of each quota counts."""
    return dict(map(tuple, await session.fetch(MOST_USED)))


async def recorded(session: DatabaseSession, quota: str) -> dict[Tally, int]:
    """What the tallies of a quota say."""
    return dict(map(_of, await session.fetch(ALL_OF_QUOTA, quota)))


async def live(session: DatabaseSession, quota: Quota, *, deferred: bool) -> dict[Tally, int]:
    """What the tallies of a quota should say by the live allocations."""
    found: dict[Tally, int] = {}
    for pattern in quota.patterns:
        beginning = beginning_of(pattern)
        named = LIVE_NAMED if beginning is None else LIVE_BEGUN
        values = (pattern,) if beginning is None else (beginning, beginning + LAST)
        for statement in named[deferred]:
            for row in await session.fetch(statement, *values):
                for tally, count in _counted(quota, row):
                    found[tally] = found.get(tally, 0) + count
    return found


async def count(session: DatabaseSession, quota: Quota, *, deferred: bool) -> None:
    """Write the tallies of a quota by the live allocations, and no others of it."""
    found = await live(session, quota, deferred=deferred)
    await session.run(DROP_QUOTA, quota.name)
    await write(session, found)


def _counted(quota: Quota, row: Row) -> Iterator[tuple[Tally, int]]:
    """Where a quota counts the allocations of a group, if it does."""
    cluster, namespace, pool, space, length, prefix_length, count = row
    family = 4 if length == 4 else 6
    cluster = cluster or ""
    if namespace and quota.counts(pool, space, family) and quota.matches(cluster, namespace):
        yield quota.tally(cluster, namespace, family), count * quota_weight(family, prefix_length)


def _values(tally: Tally, used: int) -> Values:
    return (tally.digest, tally.quota, tally.family, tally.cluster, tally.namespace, used)


def _of(row: Row) -> TallyUse:
    _, quota, family, cluster, namespace, used = row
    return TallyUse(Tally(quota, family, cluster, namespace), used)
