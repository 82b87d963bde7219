"""What is said of the database as a whole: how far its time was counted, and what its schema is."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, literal_column, select, update

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

SHUT_OUT_WHO_KNOWS_NO_QUOTAS: Final = Statement(
    update(SCHEMA_VERSION)
    .where(SCHEMA_VERSION.c.oldest_code < literal_column(str(KNOWS_QUOTAS)))
    .values(oldest_code=literal_column(str(KNOWS_QUOTAS))),
    (),
)
