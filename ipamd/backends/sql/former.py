"""The addresses that workloads had, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, literal_column, or_, select, tuple_

from ipamd.backends.sql import statements
from ipamd.backends.sql.rows import Row, address_of
from ipamd.backends.sql.schema import FORMER_ADDRESS
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import AHEAD, Instant

FORGOTTEN_AT_ONCE: Final = 500

_KEY: Final = (FORMER_ADDRESS.c.workload, FORMER_ADDRESS.c.position)


def _save() -> Statement:
    """Keep the address of whoever began last, as `FormerAddress.is_kept_over` says."""
    upsert, names = statements.upsert_into(FORMER_ADDRESS)
    changed = {name: upsert.excluded[name] for name in names if name not in ("workload", "position")}
    later = upsert.excluded.since >= FORMER_ADDRESS.c.since
    was_ahead = FORMER_ADDRESS.c.since > upsert.excluded.freed + literal_column(str(AHEAD))
    return Statement(
        upsert.on_conflict_do_update(index_elements=[*_KEY], set_=changed, where=or_(later, was_ahead)),
        names,
    )


SAVE: Final = _save()

FORGET: Final = Statement(
    delete(FORMER_ADDRESS).where(
        tuple_(*_KEY).in_(
            select(*_KEY)
            .where(FORMER_ADDRESS.c.until <= bindparam("moment"))
            .limit(bindparam("piece"))
            .with_for_update(skip_locked=True)  # a unit of work may be writing one: it is left for later
        )
    ),
    ("moment", "piece"),
)


@lru_cache
def by_workload(length: int) -> Statement:
    """What some workloads had."""
    keys, names = statements.numbered(length)
    return Statement(select(FORMER_ADDRESS).where(FORMER_ADDRESS.c.workload.in_(keys)), names)


async def read(
    session: DatabaseSession, workloads: Sequence[Digest]
) -> Mapping[Digest, Sequence[FormerAddress]]:
    """What these workloads had, if anything."""
    found: dict[Digest, list[FormerAddress]] = {}
    for keys in statements.in_pieces(list(workloads)):
        for row in await session.fetch(by_workload(len(keys)), *keys):
            former = _former_of(row)
            found.setdefault(former.workload, []).append(former)
    return found


async def write(session: DatabaseSession, former: Iterable[FormerAddress]) -> None:
    """Write what workloads had, in the order of their keys: so do all who write several."""
    rows = [
        (one.workload, one.position, one.pool, one.address.packed, one.since, one.freed, one.until)
        for one in sorted(former, key=lambda one: (one.workload, one.position))
    ]
    if rows:
        await session.run_many(SAVE, rows)


async def forget(session: DatabaseSession, before: Instant) -> bool:
    """Drop some of those that need not be remembered after an instant; whether there may be more."""
    return await session.run(FORGET, before, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE


def _former_of(row: Row) -> FormerAddress:
    workload, position, pool, address, since, freed, until = row
    return FormerAddress(bytes(workload), position, pool, address_of(address), since, freed, until)
