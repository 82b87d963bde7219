"""Moments of allocations that a clock wrote which was ahead, and what they are set back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ipamd.backends.interface import Backend, Changes, Ledger, SetBack
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import HELD
from ipamd.models.instant import AHEAD, LATEST, Instant
from ipamd.models.pool import Pool
from ipamd.models.query import HistoryQuery

PAGE: Final = 200


def is_wrong(row: Allocation, now: Instant) -> bool:
    """Whether an allocation begins or ends ahead of the clock, or its address is free since then."""
    return max(row.since, row.until or 0, row.away_since or 0, row.free_since or 0) > now + AHEAD


def earlier_moments(rows: Iterable[Allocation], now: Instant, latest: Instant) -> list[SetBack]:
    """What the wrong ones of an address's allocations are set back to; the last one at most to `latest`.

    Their ids say in which order an address was held, whatever the clock was. So each ends before the next
    one begins, but for those who hold it beside its owner.
    """
    found = []
    for row in sorted(rows, key=lambda row: row.stored_id, reverse=True):
        if row.held_for is not None:
            if is_wrong(row, now):
                found.append(SetBack(row.stored_id, now, now))
        elif is_wrong(row, now):
            until = min(row.until, latest) if row.until is not None else latest
            found.append(SetBack(row.stored_id, min(row.since, until), until))
            latest = found[-1].since
        else:
            latest = min(row.since, latest)
    return found


async def set_back_address(
    backend: Backend,
    pools: Mapping[str, Pool],
    space: str,
    address: IPAddress,
    now: Instant,
    known: Iterable[Allocation] = (),
) -> int:
    """Set back the wrong moments of an address's allocations, those of `known` among them; how many rows.

    What happens to the address meanwhile stays, for moments are only lowered. Raises Unavailable, InDoubt.
    """
    rows = await _from_the_first_wrong(backend.ledger, space, address, now, known)
    changes = earlier_moments(rows, now, await _free_since(backend.ledger, rows, pools, now))
    if changes:
        await backend.transact(lambda transaction: transaction.write(Changes(set_back=changes)))
    return len(changes)


async def _from_the_first_wrong(
    ledger: Ledger, space: str, address: IPAddress, now: Instant, known: Iterable[Allocation]
) -> list[Allocation]:
    """The allocations of an address from the first wrong one on."""
    wrong = {row.stored_id for row in known}
    before: int | None = None
    query = HistoryQuery(address=address, space=space, after=now + AHEAD)  # what lives or ends ahead
    while page := await ledger.history(query, before, PAGE):
        wrong.update(row.stored_id for row in page if is_wrong(row, now))
        before = page[-1].stored_id
    rows: list[Allocation] = []
    before = None
    while page := await ledger.history(HistoryQuery(address=address, space=space), before, PAGE):
        for row in page:
            if is_wrong(row, now):
                wrong.add(row.stored_id)
            elif row.stored_id < min(wrong, default=row.stored_id + 1):
                return rows
            rows.append(row)
        before = page[-1].stored_id
    return rows


async def _free_since(
    ledger: Ledger, rows: Sequence[Allocation], pools: Mapping[str, Pool], now: Instant
) -> Instant:
    """Since when the address of these allocations is free by its block, at most now."""
    for row in rows[:1]:
        pool = pools.get(row.pool)
        if pool is None:
            break
        number = pool.number_of(row.address)
        for block in await ledger.blocks(pool.name, LATEST, (number, number)):
            since = block.free_since[number - block.first]
            if 0 < since < HELD:
                return min(since, now)
    return now
