"""Statements that read or pin the revision, and what admins write of many things at once."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from ipamd.backends.sql.postgres.arrays.blocks import block_update
from ipamd.backends.sql.postgres.arrays.given import columns_but, upsert_into
from ipamd.backends.sql.schema import ALLOCATION, BLOCK, CATALOGUE, CHANGE_LOG, RESERVATION, SCHEMA_VERSION
from ipamd.backends.sql.session import Statement

_REVISION: Final = select(CATALOGUE.c.revision, SCHEMA_VERSION.c.revision, SCHEMA_VERSION.c.oldest_code)
REVISION_AND_SCHEMA: Final = _REVISION.where(SCHEMA_VERSION.c.id == CATALOGUE.c.id)
REVISION: Final = Statement(REVISION_AND_SCHEMA, ())
"""With what the last migration left, so that no unit of work passes a schema that it does not fit."""


def _written(*, begins: bool) -> Statement:
    """`REVISION`, and how many blocks were written, of a statement that writes them.

    If something begins, it writes new allocations too, which come first among its parameters.
    """
    blocks, names = block_update()
    written = blocks.returning(BLOCK.c.first).cte("written")
    number = select(func.count()).select_from(written).scalar_subquery()
    question = REVISION_AND_SCHEMA.add_columns(number)
    if begins:
        insertion, of_rows = upsert_into(ALLOCATION, "id", "listed")
        question = question.add_cte(insertion.cte("begun"))
        names = (*of_rows, *names)
    return Statement(question, names)


WRITTEN: Final = {begins: _written(begins=begins) for begins in (False, True)}
PINNED_REVISION: Final = Statement(
    _REVISION.where(SCHEMA_VERSION.c.id == CATALOGUE.c.id).with_for_update(read=True, of=CATALOGUE), ()
)


def _note_changes() -> Statement:
    insertion, names = upsert_into(CHANGE_LOG, "id")
    return Statement(insertion, names)


NOTE_CHANGES: Final = _note_changes()


def _save_reservations() -> Statement:
    upsert, names = upsert_into(RESERVATION)
    others = {column.name: upsert.excluded[column.name] for column in columns_but(RESERVATION, "id")}
    return Statement(upsert.on_conflict_do_update(index_elements=["id"], set_=others), names)


SAVE_RESERVATIONS: Final = _save_reservations()
