"""Owners whom workloads name: who holds their addresses, and how these become free again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from ipamd.backends.interface import HeldAddress, Ledger
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import NotFound, OwnerHeld
from ipamd.models.identity import Owner, owner_in
from ipamd.models.instant import SECOND
from ipamd.models.outcome import Refused, Released
from ipamd.models.query import OwnerQuery
from ipamd.models.request import Release

ROUND_EVERY: Final = 30.0
"""Seconds between two looks for owners who have been away for long enough."""

PAGE: Final = 200

ATTEMPTS: Final = 3
"""How often an owner is released with its holders, if others come meanwhile."""

AWAY_TOO_LONG: Final = "nobody has held it for its owner for longer than its pool's owner_keep"

log = structlog.get_logger()


class OwnerKey(NamedTuple):
    """Which owner: its name, in a namespace of a cluster."""

    cluster: str
    namespace: str
    name: str

    @property
    def owner(self) -> Owner:
        return owner_in(*self)


@dataclass(frozen=True, slots=True)
class OwnedAddress:
    """An address of an owner, and who holds it now."""

    row: Allocation
    holders: Sequence[Allocation]


class Owners:
    """Reads and releases what owners have."""

    def __init__(self, allocator: Allocator, ledger: Ledger, cache: CatalogueCache, clock: Clock) -> None:
        self._allocator = allocator
        self._ledger = ledger
        self._cache = cache
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""

        async def work() -> None:
            await self.release_away()

        await go_on(work, ROUND_EVERY, "owners who are away could not be released; ipamd tries again")

    async def release_away(self) -> int:
        """Release what nobody has held for longer than its pool keeps it; how many addresses.

        Raises Unavailable, InDoubt. Each process does it, without a leader: of a holder who comes back
        meanwhile the address stays.
        """
        reading, pools = self._clock.read(), self._cache.catalogue.pools
        before = {name: reading.past(pool.owner_keep * SECOND) for name, pool in pools.items()}
        count, found = 0, PAGE
        while found == PAGE:
            rows = await self._ledger.owners_away(before, PAGE)
            outcomes = await asyncio.gather(*(self._allocator.submit(_if_still_away(row)) for row in rows))
            freed = sum(isinstance(outcome, Released) and len(outcome.addresses) for outcome in outcomes)
            count, found = count + freed, len(rows) if freed else 0
        if count:
            log.info("release", outcome="their owners were away", addresses=count)
        return count

    async def addresses(self, key: OwnerKey) -> Sequence[OwnedAddress]:
        """What an owner has, by position. Raises NotFound, Unavailable."""
        rows = await self._ledger.held_by(key.owner.digest)
        if not rows:
            none = f"cluster {key.cluster} has none of that name (`ipamctl owner list` shows what there is)"
            raise NotFound("owner", f"{key.namespace}/{key.name}", none)
        return await self._with_holders(rows)

    async def page(self, query: OwnerQuery, after: int | None, limit: int) -> Sequence[OwnedAddress]:
        """Addresses of owners, in the order of `OwnerQuery.place`. Raises Unavailable."""
        return await self._with_holders(await self._ledger.owners(query, after, limit))

    async def _with_holders(self, rows: Sequence[Allocation]) -> list[OwnedAddress]:
        holders: dict[HeldAddress, list[Allocation]] = {
            HeldAddress(row.space, row.address): [] for row in rows
        }
        for row in await self._ledger.of_addresses(list(holders)):
            if row.slot:
                holders[HeldAddress(row.space, row.address)].append(row)
        return [OwnedAddress(row, holders[HeldAddress(row.space, row.address)]) for row in rows]

    async def release(
        self, key: OwnerKey, *, with_holders: bool, by: str | None, reason: str | None
    ) -> Sequence[IPAddress]:
        """Release all that an owner has, in one transaction.

        Raises NotFound; OwnerHeld if somebody holds it, unless the holders are to end too; Unavailable.
        """
        for attempt in range(ATTEMPTS):
            owned = await self.addresses(key)
            ending = [holder.digest for each in owned for holder in each.holders] if with_holders else []
            outcomes = await self._allocator.release_together(
                [
                    Release(digest=digest, ending=Ending.ADMIN, by=by, reason=reason)
                    for digest in (*dict.fromkeys(ending), key.owner.digest)
                ]
            )
            refused = [outcome.error for outcome in outcomes if isinstance(outcome, Refused)]
            if not refused:
                break
            is_another = with_holders and isinstance(refused[0], OwnerHeld)
            if not is_another or attempt == ATTEMPTS - 1:
                raise refused[0]
        return [each.row.address for each in owned]


def _if_still_away(row: Allocation) -> Release:
    return Release(
        digest=row.digest, allocation=row.id, away_since=row.away_since, by="ipamd", reason=AWAY_TOO_LONG
    )
