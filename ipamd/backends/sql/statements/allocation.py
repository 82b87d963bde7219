"""Who has an address: a time with it begins, is repeated, and ends."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, literal_column, null, select, update

from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.batch import numbered
from ipamd.backends.sql.statements.writing import added, lowered

BEGIN_ALLOCATION: Final = added(ALLOCATION, "id", "listed")

USUAL_COLUMNS: Final = BEGIN_ALLOCATION.parameters.index("idempotency_key")
"""So many of the columns say something of every row. Those behind are empty but for a few."""

BEGIN_USUAL_ALLOCATION: Final = added(
    ALLOCATION, "id", "listed", *BEGIN_ALLOCATION.parameters[USUAL_COLUMNS:]
)

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


SET_BACK_ALLOCATION: Final = Statement(
    update(ALLOCATION)
    .where(ALLOCATION.c.id == bindparam("row"))
    .values(
        since=lowered(ALLOCATION.c.since, "begun"),
        until=lowered(ALLOCATION.c.until, "ended"),
        away_since=lowered(ALLOCATION.c.away_since, "ended"),
        free_since=lowered(ALLOCATION.c.free_since, "ended"),
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
