"""The check for contradictions, a portion at a time."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from ipamd.api.paging import cursor_of, foreign, key_of
from ipamd.api.routers.access import TheEngine
from ipamd.api.schemas.check import NewCheck, NewRepair, PortionDocument, document_of
from ipamd.backends.interface import BlockId, RowPosition
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.check import Cursor
from ipamd.engine.pruning import DAY

router = APIRouter(prefix="/v1", tags=["check"])

HIGHEST: Final = (1 << 128) - 1
LATEST: Final = (1 << 63) - 1


@router.post("/check", response_model=PortionDocument)
async def check(wanted: NewCheck, engine: TheEngine) -> dict[str, Any]:
    """Compare the next blocks and allocations with each other while ipamd serves.

    This changes nothing, so a reader may do it too.
    """
    return await _portion(wanted, engine, repair=False)


@router.post("/repair", response_model=PortionDocument)
async def repair(wanted: NewRepair, engine: TheEngine) -> dict[str, Any]:
    """Compare them, write blocks as the allocations say, and set moments back that are ahead of the clock.

    What needs a decision is left.
    """
    if wanted.trust_clock:
        await engine.consistency.trust_clock()
    return await _portion(wanted, engine, repair=True)


async def _portion(wanted: NewCheck, engine: Engine, *, repair: bool) -> dict[str, Any]:
    silent = engine.clock() - wanted.silent_days * DAY if wanted.silent_days else None
    cursor = _cursor(wanted.cursor) if wanted.cursor is not None else None
    portion = await engine.consistency.portion(cursor, silent, repair=repair)
    return {
        "items": [document_of(finding) for finding in portion.findings],
        "blocks": portion.blocks,
        "allocations": portion.allocations,
        "next": cursor_of(_key(portion.next)) if portion.next is not None else None,
    }


def _key(cursor: Cursor) -> list[str]:
    if isinstance(cursor, BlockId):
        return [cursor.pool, str(cursor.first)]
    return [cursor.space, cursor.address.hex(), str(cursor.since), str(cursor.id)]


def _cursor(text: str) -> Cursor:
    match key_of(text):
        case [str(pool), str(first)]:
            return BlockId(_name(pool), _number(first, HIGHEST))
        case [str(space), str(address), str(since), str(number)]:
            return RowPosition(_name(space), _bytes(address), _number(since, LATEST), _number(number, LATEST))
    raise foreign()


def _name(text: str) -> str:
    if not text.isprintable():  # nor half a surrogate pair, which no database takes
        raise foreign()
    return text


def _number(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise foreign()
    return int(text)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise foreign() from None
