"""What is said of the database as a whole: how far its time was counted, and what its schema is."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Integer, bindparam, literal_column, select, update

from ipamd.backends.sql.schema import HISTORY, SCHEMA_VERSION
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.writing import lowered

COUNTED: Final = Statement(select(HISTORY.c.counted, HISTORY.c.forgotten), ())
COUNT_TIME: Final = Statement(
    update(HISTORY).where(HISTORY.c.counted < bindparam("moment")).values(counted=bindparam("moment")),
    ("moment",),
)
SET_TIME_BACK: Final = Statement(
    update(HISTORY).values(
        counted=lowered(HISTORY.c.counted, "moment"), forgotten=lowered(HISTORY.c.forgotten, "moment")
    ),
    ("moment",),
)

SCHEMA: Final = Statement(select(SCHEMA_VERSION.c.revision, SCHEMA_VERSION.c.oldest_code), ())

KNOWS_QUOTAS: Final = 22
"""The oldest revision whose code counts what quotas limit."""

KNOWS_HOLDS: Final = 29
"""The oldest revision whose code knows what holds have."""

KNOWS_POOLS_OF_PREFIXES: Final = 32
"""The oldest revision whose code knows that the numbers of a pool may be those of prefixes."""


def _shut_out_before(revision: int) -> Statement:
    known = literal_column(str(revision), Integer())
    return Statement(
        update(SCHEMA_VERSION).where(SCHEMA_VERSION.c.oldest_code < known).values(oldest_code=known), ()
    )


SHUT_OUT_WHO_KNOWS_NO_QUOTAS: Final = _shut_out_before(KNOWS_QUOTAS)
SHUT_OUT_WHO_KNOWS_NO_HOLDS: Final = _shut_out_before(KNOWS_HOLDS)
SHUT_OUT_WHO_KNOWS_NO_POOLS_OF_PREFIXES: Final = _shut_out_before(KNOWS_POOLS_OF_PREFIXES)
