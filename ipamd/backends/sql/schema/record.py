"""What was changed and asked for, and how full pools were."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table

from ipamd.backends.sql.schema.definition import METADATA, SERIAL, needed, optional

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
