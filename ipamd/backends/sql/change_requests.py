"""Change requests, in SQL."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, delete, select

# The construct for PostgreSQL compiles for SQLite too.
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.schema import CHANGE_REQUEST
from ipamd.backends.sql.session import DatabaseSession, Statement, Values
from ipamd.models.change_request import ChangeRequest, RequestKind, RequestQuery, RequestState
from ipamd.models.instant import Instant

FORGOTTEN_AT_ONCE: Final = 500


def _save() -> Statement:
    names = [column.name for column in CHANGE_REQUEST.columns]
    upsert = Upsert(CHANGE_REQUEST).values({name: bindparam(name) for name in names}).inline()
    others = {name: upsert.excluded[name] for name in names if name != "id"}
    return Statement(upsert.on_conflict_do_update(index_elements=["id"], set_=others), tuple(names))


SAVE: Final = _save()
BY_ID: Final = Statement(select(CHANGE_REQUEST).where(CHANGE_REQUEST.c.id == bindparam("row")), ("row",))
FORGET: Final = Statement(
    delete(CHANGE_REQUEST).where(
        CHANGE_REQUEST.c.id.in_(
            select(CHANGE_REQUEST.c.id)
            .where(
                CHANGE_REQUEST.c.decided <= bindparam("moment", type_=BigInteger()),
                CHANGE_REQUEST.c.state != bindparam("going_on"),
            )
            .order_by(CHANGE_REQUEST.c.decided, CHANGE_REQUEST.c.id)
            .limit(bindparam("piece"))
        )
    ),
    ("moment", "going_on", "piece"),
)


@lru_cache
def _page(filters: tuple[str, ...]) -> Statement:
    """Requests that match, latest first."""
    columns = {"state": CHANGE_REQUEST.c.state, "by": CHANGE_REQUEST.c.created_by}
    query = select(CHANGE_REQUEST)
    for name in filters:
        if name == "before":
            query = query.where(CHANGE_REQUEST.c.id < bindparam("of_before", type_=BigInteger()))
        else:
            query = query.where(columns[name] == bindparam(f"of_{name}"))
    return Statement(
        query.order_by(CHANGE_REQUEST.c.id.desc()).limit(bindparam("most")),
        (*(f"of_{name}" for name in filters), "most"),
    )


async def page(
    session: DatabaseSession, query: RequestQuery, before: int | None, limit: int
) -> list[ChangeRequest]:
    """A page of requests, latest first. `before` is the id of the last one of the page before."""
    values = {"state": query.state and query.state.value, "by": query.by, "before": before}
    given = {name: value for name, value in values.items() if value is not None}
    return [request_of(row) for row in await session.fetch(_page(tuple(given)), *given.values(), limit)]


async def read(session: DatabaseSession, number: int) -> ChangeRequest | None:
    """One request."""
    rows = await session.fetch(BY_ID, number)
    return request_of(rows[0]) if rows else None


async def forget(session: DatabaseSession, before: Instant) -> bool:
    """Drop some requests that were decided until an instant; whether there may be more."""
    dropped = await session.run(FORGET, before, RequestState.APPROVING.value, FORGOTTEN_AT_ONCE)
    return dropped == FORGOTTEN_AT_ONCE


def request_values(request: ChangeRequest) -> Values:
    """The columns of a request in their order."""
    return (
        request.id,
        request.kind.value,
        json.dumps(dict(request.wanted)),
        request.note,
        request.created,
        request.created_by,
        request.state.value,
        request.decided,
        request.decided_by,
        request.reason,
        json.dumps(dict(request.outcome)) if request.outcome is not None else None,
    )


def request_of(row: Row) -> ChangeRequest:
    """A request from its row."""
    number, kind, wanted, note, created, by, state, decided, decided_by, reason, outcome = row
    made: Any = None if outcome is None else json.loads(outcome)
    return ChangeRequest(
        id=number,
        kind=RequestKind(kind),
        wanted=json.loads(wanted),
        note=note,
        created=created,
        created_by=by,
        state=RequestState(state),
        decided=decided,
        decided_by=decided_by,
        reason=reason,
        outcome=made,
    )
