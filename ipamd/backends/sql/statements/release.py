"""Releases that are remembered, since a call may come after the release that overtook it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    union_all,
    update,
)

# SQLite took PostgreSQL's `ON CONFLICT`, and SQLAlchemy's construct for PostgreSQL compiles for both.
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.sql.schema import RELEASE
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.batch import numbered
from ipamd.backends.sql.statements.writing import upsert_into


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
