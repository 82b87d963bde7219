"""The line of waiters, in SQL."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update

from ipamd.backends.sql.ledger import Reader
from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.schema import WAITER
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.waiter import Waiter

T = TypeVar("T")

Work = Callable[[DatabaseSession], Coroutine[Any, Any, T]]

_GIVEN: Final = tuple(column.name for column in WAITER.columns if column.name != "number")

ENTER: Final = Statement(
    insert(WAITER)
    .from_select(
        list(_GIVEN),
        select(*(bindparam(name, type_=WAITER.c[name].type) for name in _GIVEN)).where(
            select(func.count()).select_from(WAITER).scalar_subquery() < bindparam("most")
        ),
    )
    .returning(WAITER.c.number),
    (*_GIVEN, "most"),
)

READ: Final = Statement(select(WAITER).order_by(WAITER.c.number), ())

RENEW: Final = Statement(
    update(WAITER)
    .where(WAITER.c.replica == bindparam("of_replica"))
    .values(beat=WAITER.c.beat + literal_column("1")),
    ("of_replica",),
)

CHANGE: Final = Statement(
    update(WAITER).where(WAITER.c.number == bindparam("of_number")).values(lacks=bindparam("lacked")),
    ("lacked", "of_number"),
)

LEAVE: Final = Statement(delete(WAITER).where(WAITER.c.number == bindparam("of_number")), ("of_number",))


class Write(Protocol):
    """Runs a short piece of writing, durable when it ends. Raises Unavailable, InDoubt."""

    def __call__(self, work: Work[T], /) -> Awaitable[T]: ...


class SqlLine:
    """See `Line`. `turn` keeps others from entering before a piece of writing ends, if they must be kept."""

    def __init__(self, reader: Reader, write: Write, turn: Statement | None = None) -> None:
        self._reader = reader
        self._write = write
        self._turn = turn

    async def enter(self, waiter: Waiter, most: int) -> int | None:
        async def enter(session: DatabaseSession) -> int | None:
            if self._turn is not None:
                await session.fetch(self._turn)
            rows = await session.fetch(ENTER, *_values(waiter), most)
            return int(rows[0][0]) if rows else None

        return await self._write(enter)

    async def read(self) -> Sequence[Waiter]:
        async def read(session: DatabaseSession) -> Sequence[Waiter]:
            return [_waiter_of(row) for row in await session.fetch(READ)]

        return await self._reader.read(read)

    async def renew(self, replica: str) -> None:
        await self._write(lambda session: session.run(RENEW, replica))

    async def change(self, number: int, lacks: tuple[str, ...]) -> None:
        await self._write(lambda session: session.run(CHANGE, json.dumps(lacks), number))

    async def leave(self, numbers: Sequence[int]) -> None:
        if numbers:
            rows = [(number,) for number in sorted(numbers)]
            await self._write(lambda session: session.run_many(LEAVE, rows))


def _values(waiter: Waiter) -> tuple[Any, ...]:
    """The columns of a waiter in their order, but for its number."""
    return (
        waiter.replica,
        waiter.owner,
        json.dumps(waiter.pools),
        json.dumps(waiter.lacks),
        waiter.since,
        waiter.until,
        waiter.beat,
    )


def _waiter_of(row: Row) -> Waiter:
    number, replica, owner, pools, lacks, since, until, beat = row
    return Waiter(
        number=number,
        replica=replica,
        owner=owner,
        pools=tuple(json.loads(pools)),
        lacks=tuple(json.loads(lacks)),
        since=since,
        until=until,
        beat=beat,
    )
