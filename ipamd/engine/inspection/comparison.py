"""Compares blocks and allocations: their contradictions, and the block as its allocations say."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from ipamd.addressing.block import held_bits, longest_free_since
from ipamd.addressing.mask import Mask
from ipamd.backends.interface import AuditedRows, BlockId, BlockRecord
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import AHEAD
from ipamd.engine.moments import is_wrong
from ipamd.models.address import address_in
from ipamd.models.allocation import Allocation
from ipamd.models.block import HELD, NEVER_HELD, Block
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND, Instant, rfc3339
from ipamd.models.node import NodeKey
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
            what = f"is held by {row.held_by}, but its block says that it is {_free(since)}"
            yield self._finding(FindingKind.ALLOCATION_NOT_IN_BLOCK, what, value, row.id)
        elif row is None and since == HELD:
            what = "is held according to its block, but no allocation holds it"
            yield self._finding(FindingKind.HELD_WITHOUT_ALLOCATION, what, value)
        elif row is None and self._instant(value, since) != since:
            ended = self._ended(value, since)
            then = f"it was last released {_at(ended)}" if ended is not None else "no allocation ended then"
            what = f"is {_free(since)} according to its block, but {then}"
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
            what = f"says that an address was last released {_at(block.last_freed)}, but it was {_at(last)}"
            yield self._finding(FindingKind.LAST_FREED, what)
        following = longest_free_since(block, self._assignable)
        if block.next_free_since != following:
            said = _next(block.next_free_since)
            what = f"says that its next address is {said}, but it is {_next(following)}"
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


def mask_of(pool: Pool, catalogue: Catalogue) -> Mask:
    """What a stored pool may give. Somebody may have changed it without ipamd."""
    if catalogue.pools.get(pool.name) == pool:
        return catalogue.mask(pool)
    return Mask(pool, catalogue.snapshot.reservations.values())


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


def of_rows(
    rows: AuditedRows,
    known: int,
    catalogue: Catalogue,
    heard: Mapping[NodeKey, Instant],
    silent: Instant | None,
    now: Instant,
) -> Iterator[Finding]:
    """What contradicts what among allocations in the order of their places.

    The first `known` of them have been looked at, and are there for those that follow. Holders of an owner's
    address hold it beside the owner. `heard` says when each
    node was last heard from; one not heard from after `silent` should hold nothing (None: it may).
    """
    for before, row in pairwise(row for row in rows.rows if row.held_for is None):
        same = (before.space, before.address) == (row.space, row.address)
        if same and not is_wrong(before, now) and not is_wrong(row, now):
            yield from _overlap(before, row)
    for row in rows.rows[known:]:
        if is_wrong(row, now):
            yield about(row, FindingKind.MOMENT_AHEAD, _wrong_moment(row, now))
        if row.until is None:
            yield from _of_live(row, rows, catalogue)
            if silent is not None and isinstance(row.holder, Identity):
                yield from _silence(row, row.holder, heard, silent)


def _overlap(before: Allocation, row: Allocation) -> Iterator[Finding]:
    if before.until is None or before.until > row.since:
        until = f"until {rfc3339(before.until)}" if before.until is not None else "and still does"
        what = (
            f"{row.address} was held by {before.held_by} {until}, and from {rfc3339(row.since)} on "
            f"by {row.held_by} too"
        )
        yield about(row, FindingKind.OVERLAP, what)


def _wrong_moment(row: Allocation, now: Instant) -> str:
    of = f"allocation {row.stored_id} of {row.address}, held by {row.held_by},"
    if row.since > now + AHEAD:
        return f"{of} began {ahead(row.since, now)}"
    if row.away_since is not None and row.away_since > now + AHEAD:
        return f"{of} has been without a holder since {ahead(row.away_since, now)}"
    return f"{of} ended {ahead(row.until or 0, now)}"


def ahead(moment: Instant, now: Instant) -> str:
    """A moment that cannot have been yet, and by how much."""
    return f"{_at(moment)}, {shown_span(moment - now)} ahead of the clock"


def shown_span(span: Instant) -> str:
    """A span of time in its largest unit, as people read it."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if span >= 2 * length * SECOND:
            return f"{span // (length * SECOND)} {unit}"
    return f"{span // SECOND} seconds"


def _of_live(row: Allocation, rows: AuditedRows, catalogue: Catalogue) -> Iterator[Finding]:
    pool = rows.pools.get(row.pool)
    if pool is None:
        what = f"{row.address} is held by {row.held_by}, from pool {row.pool}, which does not exist"
        yield about(row, FindingKind.ALLOCATION_WITHOUT_POOL, what)
        return
    why = _why_outside(row, pool, catalogue)
    if why is not None:
        what = f"{row.address} is held by {row.held_by}, but {why}"
        yield about(row, FindingKind.ALLOCATION_OUTSIDE_POOL, what)
    elif pool.block_of(pool.number_of(row.address)) != row.block:
        what = f"{row.address} is held by {row.held_by}, but in a block that does not contain it"
        yield about(row, FindingKind.ALLOCATION_IN_WRONG_BLOCK, what)
    elif BlockId(row.pool, row.block) not in rows.blocks:
        what = f"{row.address} is held by {row.held_by}, but its block does not exist"
        yield about(row, FindingKind.ALLOCATION_WITHOUT_BLOCK, what)


def _why_outside(row: Allocation, pool: Pool, catalogue: Catalogue) -> str | None:
    if row.space != pool.space:
        return f"it is in space {row.space}, and pool {pool.name} is in space {pool.space}"
    mask = mask_of(pool, catalogue)
    why = mask.why_not(row.address)
    if why is None and row.prefix_length is not None:
        numbers = pool.numbers_of(row.addresses)
        first, last = numbers.start, numbers.stop - 1
        if mask.usable.count_between(first, last) < last - first + 1:
            why = f"pool {pool.name} keeps a part of {row.written}"
    return why


def _silence(
    row: Allocation, holder: Identity, heard: Mapping[NodeKey, Instant], silent: Instant
) -> Iterator[Finding]:
    # The ADD was heard, too: of a node that is not known the latest allocation is the last contact.
    last = max(row.since, heard.get(holder.node_key, row.since))
    if last <= silent:
        what = f"{row.address} is held by {row.held_by}, and its node last called at {rfc3339(last)}"
        yield about(row, FindingKind.NODE_SILENT, what)


def about(row: Allocation, kind: FindingKind, what: str) -> Finding:
    """A finding that concerns an allocation."""
    return Finding(
        kind=kind, what=what, space=row.space, pool=row.pool, address=row.address, allocation=row.id
    )


def _family_of(value: int) -> int:
    return 4 if value < 1 << 32 else 6


def _shown(block: Block, pool: Pool) -> str:
    return f"{pool.address_of(block.first)}/{pool.block_length}"


def _free(since: Instant) -> str:
    return "free and was never held" if since == NEVER_HELD else f"free since {_moment(since)}"


def _next(since: Instant | None) -> str:
    return "none" if since is None else _free(since)


def _at(instant: Instant) -> str:
    return "never" if instant == NEVER_HELD else f"at {_moment(instant)}"


def _moment(instant: Instant) -> str:
    """An instant that may be nonsense: the check looks for such."""
    try:
        return rfc3339(instant)
    except (ValueError, OverflowError):
        return f"{instant} microseconds after 1970"
