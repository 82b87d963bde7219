"""Prefixes in SQL: which of them has an address, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, LargeBinary, bindparam, func, literal_column, select, update

from ipamd.backends.interface import ConstraintViolated
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, SCHEMA_VERSION
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.address import MAX_LENGTH, IPAddress, address_in
from ipamd.models.allocation import Allocation

KNOWS_PREFIXES: Final = 30
"""The oldest revision whose code ends a prefix as a whole."""

SHUT_OUT_WHO_KNOWS_NO_PREFIXES: Final = Statement(
    update(SCHEMA_VERSION)
    .where(SCHEMA_VERSION.c.oldest_code < literal_column(str(KNOWS_PREFIXES)))
    .values(oldest_code=literal_column(str(KNOWS_PREFIXES))),
    (),
)


def firsts_around(address: IPAddress) -> list[bytes]:
    """With which addresses the prefixes begin that may have an address, the longest prefix first."""
    value, most = int(address), MAX_LENGTH[address.version]
    return [address_in(address.version, value >> bits << bits).packed for bits in range(1, most)]


def around_values(address: IPAddress) -> tuple[bytes, ...]:
    """The values of `around_names`."""
    return (*firsts_around(address), address.packed)


def around_names(family: int) -> tuple[str, ...]:
    """The parameters of `is_around`."""
    return (*(f"of_first_{bits}" for bits in range(1, MAX_LENGTH[family])), "of_inside")


def is_around(family: int) -> ColumnElement[bool]:
    """That a row is of a prefix that has an address, and begins with another one."""
    *firsts, inside = (bindparam(each, type_=LargeBinary()) for each in around_names(family))
    return (
        ALLOCATION.c.address.in_(firsts)
        & ALLOCATION.c.prefix_length.is_not(None)
        & (ALLOCATION.c.address != inside)
        & (ALLOCATION.c.prefix_last >= inside)
    )


@lru_cache
def live_around(family: int) -> Statement:
    """The live allocation of a prefix that has an address, and begins with another one."""
    return Statement(
        select(*ALLOCATION_COLUMNS).where(
            ALLOCATION.c.space == bindparam("in_space"),
            is_around(family),
            ALLOCATION.c.until.is_(None),
            ALLOCATION.c.slot == literal_column("0"),
        ),
        ("in_space", *around_names(family)),
    )


_LIVE: Final = (
    select(ALLOCATION.c.pool, ALLOCATION.c.prefix_length, ALLOCATION.c.slot)
    .where(ALLOCATION.c.until.is_(None), ALLOCATION.c.prefix_length.is_not(None))
    # In the order of their own small index: SQLite would else look for them among all that lives.
    .order_by(ALLOCATION.c.space, ALLOCATION.c.address, ALLOCATION.c.prefix_length, ALLOCATION.c.pool)
    .subquery("live")
)
LIVE_COUNTED: Final = Statement(
    select(_LIVE.c.pool, _LIVE.c.prefix_length, func.count())
    .where(_LIVE.c.slot == literal_column("0"))
    .group_by(_LIVE.c.pool, _LIVE.c.prefix_length),
    (),
)
"""How many prefixes of each length are live, by pool."""


async def holder_around(session: DatabaseSession, space: str, address: IPAddress) -> Allocation | None:
    """The live allocation of a prefix that has an address, and begins with another one."""
    values = around_values(address)
    rows = await session.fetch(live_around(address.version), space, *values)
    return allocation_of(rows[0]) if rows else None


async def counted(session: DatabaseSession) -> dict[str, dict[int, int]]:
    """See `Ledger.prefixes`."""
    found: dict[str, dict[int, int]] = {}
    for pool, length, count in await session.fetch(LIVE_COUNTED):
        found.setdefault(pool, {})[length] = count
    return found


LIVE_BEHIND: Final = Statement(
    select(ALLOCATION.c.id)
    .where(
        ALLOCATION.c.space == bindparam("in_space"),
        ALLOCATION.c.address > bindparam("first"),
        ALLOCATION.c.address <= bindparam("last"),
        func.length(ALLOCATION.c.address) == bindparam("size"),
        ALLOCATION.c.until.is_(None),
    )
    .limit(literal_column("1")),
    ("in_space", "first", "last", "size"),
)
"""A live allocation that begins behind the first address of a prefix."""


async def refuse_overlaps(session: DatabaseSession, begun: Sequence[Allocation]) -> None:
    """Raise ConstraintViolated if others have a part of prefixes that have just begun."""
    for row in begun:
        if row.prefix_length is None or row.slot:
            continue
        first, last = row.address.packed, row.addresses.last.packed
        behind = await session.fetch(LIVE_BEHIND, row.space, first, last, len(first))
        if behind or await holder_around(session, row.space, row.address) is not None:
            raise ConstraintViolated(f"a part of {row.written} is held in space {row.space}")


async def shut_out_older_code(session: DatabaseSession, begun: Sequence[Allocation]) -> None:
    """With the first prefix, keep code away that would end one as a single address."""
    if any(row.prefix_length is not None for row in begun):
        await session.run(SHUT_OUT_WHO_KNOWS_NO_PREFIXES)
