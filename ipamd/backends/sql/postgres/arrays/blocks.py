"""Statements over blocks: what is carved, locked and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Select, Update, select, update

from ipamd.backends.sql.postgres.arrays.given import PLACE, kinds_of, rows_given, upsert_into
from ipamd.backends.sql.schema import BLOCK
from ipamd.backends.sql.session import Statement, Values
from ipamd.backends.sql.statements import BLOCK_COLUMNS
from ipamd.backends.sql.statements import BLOCKS_BETWEEN as BLOCKS_BETWEEN_UNLOCKED


def block_update() -> tuple[Update, tuple[str, ...]]:
    """What writes blocks that exist, and its parameters."""
    given, names = rows_given(kinds_of(BLOCK_COLUMNS), of="block")
    return (
        update(BLOCK)
        .where(BLOCK.c.pool == given.c.pool, BLOCK.c.first == given.c.first)
        .values({one.name: given.c[one.name] for one in BLOCK_COLUMNS[2:]}),
        names,
    )


def _carve_blocks() -> Statement:
    upsert, names = upsert_into(BLOCK)
    return Statement(upsert.on_conflict_do_nothing(index_elements=["pool", "first"]), names)


WRITE_BLOCKS: Final = Statement(*block_update())
CARVE_BLOCKS: Final = _carve_blocks()
BLOCK_KEYS: Final = (BLOCK.c.pool, BLOCK.c.first)


def _numbered(*, columns: Sequence[Column[Any]], numbered: bool = False) -> tuple[Select[Any], Any, Any]:
    given, names = rows_given(kinds_of(BLOCK_KEYS), numbered=numbered)
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

NO_BLOCKS: Final[Values] = ((),) * len(BLOCK_COLUMNS)
"""The arrays of a statement that writes blocks, if there are none to write."""
