"""Samples of use, in SQL."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, delete, exists, func, literal_column, select, tuple_

# The construct for PostgreSQL compiles for SQLite too.
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.sql.schema import BLOCK, POOL, USAGE_SAMPLE
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.instant import Instant
from ipamd.models.sample import UsageSample

FORGOTTEN_AT_ONCE: Final = 500


def _instant(name: str) -> Any:
    return bindparam(name, type_=BigInteger())


def _sample() -> Statement:
    """The sums over the blocks of all pools, if nobody has sampled this hour.

    Rows come in one order, so that two replicas that sample at once wait for each other one way only.
    """
    there = exists(select(literal_column("1")).where(USAGE_SAMPLE.c.at == _instant("hour")))
    sums = (
        select(POOL.c.name, _instant("hour"), func.coalesce(func.sum(BLOCK.c.allocated), literal_column("0")))
        .select_from(POOL.outerjoin(BLOCK, BLOCK.c.pool == POOL.c.name))
        .where(~there)
        .group_by(POOL.c.name)
        .order_by(POOL.c.name)
    )
    upsert = Upsert(USAGE_SAMPLE).from_select(["pool", "at", "allocated"], sums)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["pool", "at"]), ("hour",))


SAMPLE: Final = _sample()

SAMPLES: Final = Statement(
    select(USAGE_SAMPLE.c.at, USAGE_SAMPLE.c.allocated)
    .where(
        USAGE_SAMPLE.c.pool == bindparam("of_pool"),
        USAGE_SAMPLE.c.at >= _instant("begin"),
        USAGE_SAMPLE.c.at < _instant("end"),
    )
    .order_by(USAGE_SAMPLE.c.at)
    .limit(bindparam("most")),
    ("of_pool", "begin", "end", "most"),
)

_KEY: Final = (USAGE_SAMPLE.c.pool, USAGE_SAMPLE.c.at)
FORGET: Final = Statement(
    delete(USAGE_SAMPLE).where(
        tuple_(*_KEY).in_(
            select(*_KEY)
            .where(USAGE_SAMPLE.c.at <= _instant("moment"))
            .order_by(USAGE_SAMPLE.c.at, USAGE_SAMPLE.c.pool)
            .limit(bindparam("piece"))
        )
    ),
    ("moment", "piece"),
)

DROP: Final = Statement(delete(USAGE_SAMPLE).where(USAGE_SAMPLE.c.pool == bindparam("of_pool")), ("of_pool",))


async def read(
    session: DatabaseSession, pool: str, begin: Instant, end: Instant, limit: int
) -> list[UsageSample]:
    """The samples of a pool from `begin` to before `end`, oldest first."""
    return [UsageSample(*row) for row in await session.fetch(SAMPLES, pool, begin, end, limit)]


async def forget(session: DatabaseSession, before: Instant) -> bool:
    """Drop some samples of hours that began until an instant; whether there may be more."""
    return await session.run(FORGET, before, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE
