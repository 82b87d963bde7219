"""Compares a block with the allocations of its addresses: their contradictions, and the block as they say."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ipamd.addressing.block import held_bits, longest_free_since
from ipamd.backends.interface import BlockRecord
from ipamd.engine.inspection.said_moments import said_at, said_free, said_next
from ipamd.models.address import address_in
from ipamd.models.block import HELD, NEVER_HELD, Block
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.instant import AHEAD, Instant
from ipamd.models.pool import Pool


class Comparison:
    """One block and the allocations of its addresses.

    The allocations are right: a constraint of the database says who holds an address, and a block only
    remembers it.
    """

    def __init__(self, block: Block, record: BlockRecord, pool: Pool, assignable: int, now: Instant) -> None:
        self.block = block
        self._record = replace(record, ended=_believable(block, record, pool, now))
        self._pool = pool
        self._assignable = assignable
        self._live = {
            number: row for row in record.live for number in pool.numbers_in_block(row.addresses, block.first)
        }

    def findings(self) -> Iterator[Finding]:
        """The contradictions, address by address, then those of the counters."""
        for offset, since in enumerate(self.block.free_since):
            yield from self._of_address(self.block.first + offset, since)
        yield from self._of_prefixes()
        yield from self._of_counters()

    def rebuilt(self) -> Block:
        """The block as its allocations say. What they do not say stays."""
        first = self.block.first
        instants = array("q", (self._instant(first + o, s) for o, s in enumerate(self.block.free_since)))
        block = replace(self.block, free_since=instants)
        block.allocated = held_bits(block).bit_count()
        block.leased = self._leased()
        block.last_freed = self._last_freed(instants)
        block.next_free_since = longest_free_since(block, self._assignable)
        return block

    def _instant(self, value: int, since: Instant) -> Instant:
        """Since when an address is free, as far as allocations say it."""
        if value in self._live:
            return HELD
        ended = self._ended(value, since)
        if ended is not None:
            return ended
        # Had it been given back after what was dropped, there would be a row that says so.
        return min(since, self._record.forgotten)

    def _ended(self, value: int, since: Instant) -> Instant | None:
        """When an address was last released. None if that was in a block that is gone, or is unknown."""
        if self._record.reused and since == NEVER_HELD:
            return None
        return self._record.ended.get(value)

    def _leased(self) -> int:
        return sum(row.is_free_seat for row in self._live.values())

    def _last_freed(self, instants: Iterable[Instant]) -> Instant:
        """The latest instant at which an address of the block was released."""
        record, said = self._record, self.block.last_freed
        endings = max(record.ended.values(), default=NEVER_HELD)
        latest = max((since for since in instants if since != HELD), default=NEVER_HELD)
        if not record.reused:
            latest = max(latest, endings)
        # An address that goes back to a hold does not change its block, and a hold that ends leaves no mark
        # on who has its addresses by then. So its block may not note the last release of one that is held.
        not_held = (at for value, at in record.ended.items() if value not in self._live)
        beside = max(not_held, default=NEVER_HELD)
        if beside <= said <= latest:
            return said
        # The row of the latest may have been dropped; of a reused name it is unknown which block a row means.
        believable = max(record.forgotten, endings if record.reused else NEVER_HELD)
        return said if latest < said <= believable else latest

    def _of_address(self, value: int, since: Instant) -> Iterator[Finding]:
        row = self._live.get(value)
        if row is not None and since != HELD:
            what = f"is held by {row.held_by}, but its block says that it is {said_free(since)}"
            yield self._finding(FindingKind.ALLOCATION_NOT_IN_BLOCK, what, value, row.id)
        elif row is None and since == HELD:
            what = "is held according to its block, but no allocation holds it"
            yield self._finding(FindingKind.HELD_WITHOUT_ALLOCATION, what, value)
        elif row is None and self._instant(value, since) != since:
            ended = self._ended(value, since)
            then = (
                f"it was last released {said_at(ended)}" if ended is not None else "no allocation ended then"
            )
            what = f"is {said_free(since)} according to its block, but {then}"
            yield self._finding(FindingKind.FREE_SINCE, what, value)

    def _of_prefixes(self) -> Iterator[Finding]:
        """The prefixes of which others hold a part. A second row of one address is found among the rows."""
        live = sorted(self._record.live, key=lambda row: (int(row.address), -row.addresses.size))
        for at, prefix in enumerate(live):
            inside = (row for row in live[at + 1 :] if prefix.addresses.contains(row.address))
            for row in inside if prefix.prefix_length is not None else ():
                what = f"is held by {row.held_by}, and {prefix.written} around it by {prefix.held_by} too"
                yield self._finding(FindingKind.OVERLAP, what, self._pool.number_of(row.address), row.id)

    def _of_counters(self) -> Iterator[Finding]:
        block = self.block
        held = held_bits(block).bit_count()
        if block.allocated != held:
            what = f"counts {block.allocated} allocated addresses, but has {held}"
            yield self._finding(FindingKind.ALLOCATED, what)
        leased = self._leased()
        if block.leased != leased:
            what = f"counts {block.leased} addresses that nodes hold in advance, but has {leased}"
            yield self._finding(FindingKind.LEASED, what)
        last = self.rebuilt().last_freed
        if block.last_freed != last:
            said = said_at(block.last_freed)
            what = f"says that an address was last released {said}, but it was {said_at(last)}"
            yield self._finding(FindingKind.LAST_FREED, what)
        following = longest_free_since(block, self._assignable)
        if block.next_free_since != following:
            said = said_next(block.next_free_since)
            what = f"says that its next address is {said}, but it is {said_next(following)}"
            yield self._finding(FindingKind.NEXT_FREE_SINCE, what)

    def _finding(
        self, kind: FindingKind, what: str, value: int | None = None, row: int | None = None
    ) -> Finding:
        pool = self._pool
        address = pool.address_of(value) if value is not None else None
        return Finding(
            kind=kind,
            what=f"{address} {what}" if address is not None else f"block {_shown(self.block, pool)} {what}",
            space=pool.space,
            pool=pool.name,
            block=pool.address_of(self.block.first),
            address=address,
            allocation=row,
        )


def _believable(block: Block, record: BlockRecord, pool: Pool, now: Instant) -> Mapping[int, Instant]:
    """When addresses were released; of what a clock that was ahead wrote, since when their block says."""
    limit = now + AHEAD
    if all(until <= limit for until in record.ended.values()):
        return record.ended
    held = (pool.numbers_in_block(row.addresses, block.first) for row in record.live)
    live = {number for numbers in held for number in numbers}

    def bounded(value: int, until: Instant) -> Instant:
        if until <= limit:
            return until
        if value in live:
            return min(block.last_freed, now)
        return min(block.free_since[value - block.first], now)

    return {value: bounded(value, until) for value, until in record.ended.items()}


def misplaced(block: Block, pool: Pool | None) -> Finding | None:
    """What is wrong with the place of a block. Such a block has no other findings."""
    if pool is None:
        kind, what = FindingKind.BLOCK_WITHOUT_POOL, f"has a block, but there is no pool {block.pool}"
    elif not (
        block.size == pool.block_size
        and pool.block_of(block.first) == block.first
        and pool.first_number <= block.first <= pool.last_number
    ):
        kind = FindingKind.BLOCK_OUTSIDE_POOL
        what = f"begins a block of {block.size}, but pool {pool.name} ({pool.subnet}) has no such block"
    else:
        return None
    if pool is not None and block.first <= pool.last_number:
        first = pool.address_of(block.first)
    else:
        first = address_in(_family_of(block.first), block.first)
    return Finding(
        kind=kind,
        what=f"{first} {what}",
        space=pool.space if pool is not None else None,
        pool=block.pool,
        block=first,
    )


def _family_of(value: int) -> int:
    return 4 if value < 1 << 32 else 6


def _shown(block: Block, pool: Pool) -> str:
    return f"{pool.address_of(block.first)}/{pool.block_length}"
