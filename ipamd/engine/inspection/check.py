"""The check for contradictions, a portion at a time while calls go on, and the repair."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import structlog

from ipamd.backends.interface import (
    Backend,
    BlockId,
    Changes,
    InDoubt,
    RowPosition,
    Transaction,
    WaitForLocks,
)
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.comparison import Comparison, misplaced
from ipamd.engine.inspection.holds_apart import HoldsApart
from ipamd.engine.inspection.moments_apart import MomentsApart
from ipamd.engine.inspection.owners_apart import held_without_owner, owner_findings
from ipamd.engine.inspection.row_findings import mask_of, of_rows
from ipamd.engine.inspection.tallies_apart import CountAgain, TalliesApart
from ipamd.engine.locked_block import locked_block
from ipamd.engine.moments import set_back_address
from ipamd.engine.setting_back import SettingBack
from ipamd.engine.upkeep import Upkeep
from ipamd.models.address import parse_address
from ipamd.models.allocation import Allocation
from ipamd.models.block import new_block
from ipamd.models.census import Census
from ipamd.models.errors import Unavailable
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.instant import LATEST, Instant
from ipamd.models.restoration import Restoration

BLOCKS_AT_ONCE: Final = 32
ROWS_AT_ONCE: Final = 1000

REPAIR_LOCKS: Final = WaitForLocks(5.0)
"""How long a repair waits for a block."""

ATTEMPTS: Final = 8
"""How often a portion is checked again if admins change the catalogue meanwhile."""

FIRST_ROW: Final = RowPosition("", b"", 0, 0)

log = structlog.get_logger()

Cursor = BlockId | RowPosition
"""The last checked block or allocation. Blocks come first."""


@dataclass(frozen=True, slots=True)
class Portion:
    """The findings of a portion, and its number of blocks and allocations.

    `next` is the cursor of the next portion.
    """

    findings: Sequence[Finding]
    blocks: int
    allocations: int
    next: Cursor | None


class Check:
    """Compares blocks with allocations.

    Each portion is read as of one moment, and nothing has to stop for it.
    """

    def __init__(
        self,
        backend: Backend,
        cache: CatalogueCache,
        upkeep: Upkeep,
        clock: Clock,
        setting_back: SettingBack,
        count_again: CountAgain,
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._upkeep = upkeep
        self._clock = clock
        self._apart = MomentsApart(backend, cache, clock, setting_back)
        self._tallies = TalliesApart(backend, cache, count_again)
        self._holds = HoldsApart(backend, cache)

    async def portion(self, cursor: Cursor | None, silent: Instant | None, *, repair: bool) -> Portion:
        """Look at what comes after a cursor, and repair what can be repaired.

        A node that holds an address and was not heard from after `silent` is a finding. Raises Unavailable.
        """
        if isinstance(cursor, RowPosition):
            return await self._rows(cursor, silent, repair=repair)
        # Before the rest: what is ahead beside blocks and allocations is little, and needs no cursor.
        apart = (
            [
                *_put_back((await self._cache.refresh()).snapshot.restoration),
                *await self._apart.findings(repair=repair),
                *await self._tallies.findings(repair=repair),
                *await self._holds.findings(),
                *_conflicts(await self._backend.ledger.censuses(None)),
            ]
            if cursor is None
            else []
        )
        portion = await self._blocks(cursor, repair=repair)
        return replace(portion, findings=[*apart, *portion.findings])

    async def trust_clock(self) -> None:
        """Count time as the clock says, because an admin says that it is right. Raises Unavailable."""
        await self._backend.count_time(self._clock.trust())

    async def _blocks(self, after: BlockId | None, *, repair: bool) -> Portion:
        for _ in range(ATTEMPTS):
            catalogue = await self._cache.refresh()
            page = await self._backend.audit.blocks(after, BLOCKS_AT_ONCE)
            if page.revision == catalogue.revision:
                break
        else:
            raise _never_at_rest()
        findings: list[Finding] = []
        for block, record in page.blocks:
            pool = page.pools.get(block.pool)
            wrong = misplaced(block, pool)
            if wrong is not None or pool is None:
                findings += [wrong] if wrong is not None else []
                continue
            assignable = mask_of(pool, catalogue).assignable_in(block.first)
            found = list(Comparison(block, record, pool, assignable, self._clock()).findings())
            in_use = await held_without_owner(found, self._backend.ledger)
            if in_use:
                # Of these the rows tell. A repair would give away what a container uses.
                findings += [each for each in found if each.address not in in_use]
                continue
            # What stands beside what ipamd knows was changed by hand, and is not to be guessed about.
            if found and repair and catalogue.pools.get(pool.name) == pool:
                found = await self._repair(_rewrite, BlockId(block.pool, block.first), found)
            findings += found
        last = page.blocks[-1][0] if len(page.blocks) == BLOCKS_AT_ONCE else None
        following = BlockId(last.pool, last.first) if last is not None else FIRST_ROW
        return Portion(findings, len(page.blocks), 0, following)

    async def _rows(self, begin: RowPosition, silent: Instant | None, *, repair: bool) -> Portion:
        for _ in range(ATTEMPTS):
            catalogue = await self._cache.refresh()
            page = await self._backend.audit.rows(begin, ROWS_AT_ONCE)
            if page.revision == catalogue.revision:
                break
        else:
            raise _never_at_rest()
        known = sum(_place(row) == begin for row in page.rows[:1])
        heard = await self._upkeep.contacts()
        found = list(of_rows(page, known, catalogue, heard, silent, self._clock()))
        found += await owner_findings(page.rows[known:], self._backend.ledger)
        if repair:
            rows = {row.id: row for row in page.rows}
            for at, finding in enumerate(found):
                row = rows.get(finding.allocation)
                if row is not None and finding.kind is FindingKind.ALLOCATION_WITHOUT_BLOCK:
                    [found[at]] = await self._repair(_carve, BlockId(row.pool, row.block), [finding])
                elif row is not None and finding.kind is FindingKind.MOMENT_AHEAD:
                    found[at] = await self._set_back(row, finding)
        full = len(page.rows) == ROWS_AT_ONCE
        return Portion(found, 0, len(page.rows) - known, _place(page.rows[-1]) if full else None)

    async def _set_back(self, row: Allocation, finding: Finding) -> Finding:
        """Set back the allocations of an address, then say the same in its block."""
        pools = (await self._cache.refresh()).pools
        await set_back_address(self._backend, pools, row.space, row.address, self._clock(), [row])
        block = BlockId(row.pool, row.block)
        if await self._backend.ledger.blocks(row.pool, LATEST, (row.block, row.block)):
            await self._repair(_rewrite, block, [finding])
        return replace(finding, repaired=True)

    async def _repair(self, work: Repair, at: BlockId, found: Sequence[Finding]) -> list[Finding]:
        """Repair a block. Returns the findings, marked."""
        for _ in range(ATTEMPTS):
            try:
                await self._backend.transact(
                    partial(work, at, await self._cache.refresh(), self._clock()), REPAIR_LOCKS
                )
            except (StaleCatalogue, InDoubt):
                continue
            kinds = ",".join(sorted({each.kind for each in found}))
            log.info("block repaired", pool=at.pool, block=at.first, findings=kinds)
            return [replace(each, repaired=each.repairable) for each in found]
        raise _never_at_rest()


Repair = Callable[[BlockId, Catalogue, Instant, Transaction], Coroutine[Any, Any, None]]


async def _rewrite(at: BlockId, catalogue: Catalogue, now: Instant, transaction: Transaction) -> None:
    """Lock a block, and write it as its allocations say."""
    block = await locked_block(at, catalogue, transaction)
    pool = catalogue.pools.get(at.pool)
    if pool is None:
        raise StaleCatalogue
    record = await transaction.record(pool, at.first)
    rebuilt = Comparison(block, record, pool, catalogue.mask(pool).assignable_in(at.first), now).rebuilt()
    if rebuilt != block:
        await transaction.write(Changes(blocks=[rebuilt]))


async def _carve(at: BlockId, catalogue: Catalogue, now: Instant, transaction: Transaction) -> None:
    """Make a missing block from its allocations. Nobody can end one of them without it."""
    pool = catalogue.pools.get(at.pool)
    if pool is None or await transaction.pin_catalogue() != catalogue.revision:
        raise StaleCatalogue
    record = await transaction.record(pool, at.first)
    block = new_block(pool.name, at.first, pool.block_size, None)
    rebuilt = Comparison(block, record, pool, catalogue.mask(pool).assignable_in(at.first), now).rebuilt()
    await transaction.carve(pool.name, [rebuilt], None)


def _put_back(restoration: Restoration) -> list[Finding]:
    """That nothing is given to anybody new, and why."""
    if restoration.began is None:
        return []
    noticed = f"is an older one: {restoration.cause}"
    older = "was put back" if restoration.cause is None else noticed
    what = f"the database {older}; nothing is given to anybody new: see `ipamctl restore status`"
    return [Finding(kind=FindingKind.PUT_BACK, what=what)]


def _conflicts(censuses: Sequence[Census]) -> list[Finding]:
    """What lives on nodes with an address that is not its own in the tables, as their agents say."""
    return [
        Finding(
            kind=FindingKind.LIVING_CONFLICT,
            what=f"container {conflict.container_id} lives on node {census.node.name} of cluster "
            f"{census.node.cluster} and uses {conflict.address}: {conflict.why}",
            address=parse_address(conflict.address),
        )
        for census in censuses
        for conflict in census.conflicts
    ]


def _place(row: Allocation) -> RowPosition:
    return RowPosition(row.space, row.address.packed, row.since, row.stored_id)


def _never_at_rest() -> Unavailable:
    return Unavailable("the pools changed at every attempt to read them: try again")
