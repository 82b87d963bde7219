"""Compares allocations with each other, with their pools and with the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from ipamd.addressing.mask import Mask
from ipamd.backends.interface import AuditedRows, BlockId
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.inspection.said_moments import ahead
from ipamd.engine.moments import is_wrong
from ipamd.models.allocation import Allocation
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.identity import Identity
from ipamd.models.instant import AHEAD, Instant, rfc3339
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool


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
    if row.free_since is not None and row.free_since > now + AHEAD:
        return f"{of} has been free since {ahead(row.free_since, now)}"
    return f"{of} ended {ahead(row.until or 0, now)}"


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


def mask_of(pool: Pool, catalogue: Catalogue) -> Mask:
    """What a stored pool may give. Somebody may have changed it without ipamd."""
    if catalogue.pools.get(pool.name) == pool:
        return catalogue.mask(pool)
    return Mask(pool, catalogue.snapshot.reservations.values())
