"""Why a request would have its outcome: the reasons of each considered pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from ipamd.backends.interface import HeldAddress, Ledger
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.candidate_pools import Candidate, candidates_of, count_candidates
from ipamd.engine.allocation.pool_choice import context_of, no_addresses
from ipamd.engine.allocation.selection import select, why_not_had
from ipamd.engine.allocation.tallies import counts, exceeded, limits_of
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.engine.inspection.usage import fullness, shown_hold
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.errors import AddressTaken, AddressUnavailable, DomainError, Fullness, OwnerFull
from ipamd.models.explanation import Considered, Explanation, PoolStanding
from ipamd.models.hold import Hold, HoldUse
from ipamd.models.outcome import Grant, Granted, Refused
from ipamd.models.pool import Pool, PoolState
from ipamd.models.query import HistoryQuery
from ipamd.models.quota import Quota, Tally, quota_weight
from ipamd.models.request import AllocationRequest

MOST_LISTED: Final = 256
"""How many pools an explanation lists. Each that may be full is counted."""


async def explain(
    request: AllocationRequest,
    outcome: Granted | Refused,
    catalogue: Catalogue,
    ledger: Ledger,
    clock: Reading,
    ahead: int,
) -> Explanation:
    """Explain the outcome of a dry run, pool by pool. `ahead` are those that wait for what it would take."""
    if isinstance(outcome, Granted) and outcome.repeated:
        return _again(outcome)
    asked = request.pool_names, context_of(request), catalogue
    quotas = await _quotas_of(request, catalogue, ledger)
    holds = await _holds_for(request, outcome, catalogue, ledger)
    before = await _had_before(request, outcome, ledger)
    explaining = _Explaining(request, outcome, catalogue, quotas, holds, before)
    listed = [*islice(candidates_of(*asked), MOST_LISTED), *explaining.of_prefix()]
    counted = [each.name for each in listed if explaining.counts(each)]
    filled = {each.pool: each for each in await fullness(counted, catalogue, ledger, clock)}
    considered = tuple(explaining.considered(each, filled) for each in listed)
    unlisted = max(count_candidates(*asked) - MOST_LISTED, 0)
    remarks = (*holds.remarks(clock), *_remarks(request, outcome, quotas, ahead))
    return Explanation(outcome, considered, remarks, unlisted)


def _again(outcome: Granted) -> Explanation:
    considered = tuple(
        Considered(
            grant.pool.name,
            position,
            PoolStanding.HOLDS,
            f"this container already holds {grant.written} of pool {grant.pool.name}, and gets it again",
        )
        for position, grant in enumerate(outcome.grants)
    )
    return Explanation(outcome, considered, ())


def _remarks(
    request: AllocationRequest, outcome: Granted | Refused, quotas: Sequence[_QuotaUse], ahead: int
) -> Iterator[str]:
    if ahead:
        yield (
            f"{ahead} allocation{' waits' if ahead == 1 else 's wait'} for what this request would take: one "
            "that waits too stands behind, one that does not passes by"
        )
    for quota, tally, used in quotas:
        still = ", which ipamd still counts" if quota.counting else ""
        yield (
            f"quota {quota.name}: {used} of {quota.limit} IPv{tally.family} addresses of {tally.whose} are "
            f"used{still}"
        )
    if request.pool_names or not isinstance(outcome, Granted):
        return
    served = {grant.pool.family for grant in outcome.grants}
    for family in (4, 6):
        if family not in served:
            yield f"no IPv{family} pool serves this request: the answer has no IPv{family} address"


class _QuotaUse(NamedTuple):
    """A quota that counts for a request, where it counts, and how many are used there."""

    quota: Quota
    tally: Tally
    used: int


async def _quotas_of(request: AllocationRequest, catalogue: Catalogue, ledger: Ledger) -> Sequence[_QuotaUse]:
    limits = limits_of(request, _selected_or_none(request, catalogue), catalogue.quotas)
    used = await ledger.used([tally for _, tally in limits]) if limits else {}
    return [_QuotaUse(quota, tally, used[tally]) for quota, tally in limits]


class _Holds(NamedTuple):
    """The holds for a request, what is left of them, and which addresses of its answer they have."""

    holds: Sequence[Hold]
    uses: Mapping[str, HoldUse]
    having: Mapping[IPAddress, str]

    def remarks(self, clock: Reading) -> Iterator[str]:
        """What is left for the workload that asks."""
        for hold in self.holds:
            left = self.uses.get(hold.name, HoldUse()).left
            yield f"{shown_hold(hold, clock)} has {left} of {hold.size} addresses left for this workload"


async def _holds_for(
    request: AllocationRequest, outcome: Granted | Refused, catalogue: Catalogue, ledger: Ledger
) -> _Holds:
    cluster, workload = request.holder.cluster or "", request.workload
    holds = catalogue.holds.for_workload(cluster, workload.namespace, workload.name)
    if not holds:
        return _Holds((), {}, {})
    uses = await ledger.hold_uses([hold.name for hold in holds])
    granted = outcome.grants if isinstance(outcome, Granted) else ()
    rows = await ledger.of_addresses([HeldAddress(each.pool.space, each.address) for each in granted])
    return _Holds(
        holds, uses, {row.address: row.hold for row in rows if row.is_left and row.hold is not None}
    )


async def _had_before(
    request: AllocationRequest, outcome: Granted | Refused, ledger: Ledger
) -> Mapping[IPAddress, str]:
    """Which addresses of an answer its owner has, or its workload had last in a sticky pool, in words."""
    granted = outcome.grants if isinstance(outcome, Granted) else ()
    found: dict[IPAddress, str] = {}
    if request.for_owner is not None:
        owned = {row.address: row for row in await ledger.held_by(request.for_owner.digest)}
        found |= {
            each.address: f"which {owned[each.address].held_by} has"
            for each in granted
            if each.address in owned
        }
    for grant in granted if request.workload.name is not None else ():
        if grant.pool.sticky and grant.address not in found:
            query = HistoryQuery(address=grant.address, space=grant.pool.space)
            rows = await ledger.history(query, None, 1)
            if any(_is_of(row, request) for row in rows):
                found[grant.address] = "which this workload had"
    return found


def _is_of(row: Allocation, request: AllocationRequest) -> bool:
    """Whether an allocation is, or was, of the workload that asks."""
    asking = request.holder.cluster, request.workload.namespace, request.workload.name
    return asking == (row.holder.cluster, row.workload.namespace, row.workload.name)


class _Explaining:
    """One request and its outcome, compared with one pool after another."""

    def __init__(
        self,
        request: AllocationRequest,
        outcome: Granted | Refused,
        catalogue: Catalogue,
        quotas: Sequence[_QuotaUse],
        holds: _Holds,
        before: Mapping[IPAddress, str],
    ) -> None:
        self._request = request
        self._holds = holds
        self._before = before
        self._quotas = [each for each in quotas if not each.quota.counting]
        self._catalogue = catalogue
        self._grants = outcome.grants if isinstance(outcome, Granted) else ()
        self._error = outcome.error if isinstance(outcome, Refused) else None
        self._passed: set[int] = set()
        self._asked = _selected_or_none(request, catalogue)

    def of_prefix(self) -> list[Candidate]:
        """The pools of the prefix, the last of an answer, if one is asked for beside addresses."""
        last = self._asked[-1] if self._asked else None
        if last is None or last.prefix_length is None:
            return []
        return [Candidate(pool.name, pool, len(self._asked) - 1, None) for pool in last.pools]

    def counts(self, candidate: Candidate) -> bool:
        """Whether it must be known how full a pool is: it refuses nothing, and may have been full.

        Called once for each pool, in their order: behind the one that gives nothing was looked at.
        """
        pool, position = candidate.pool, candidate.position
        if pool is None or position is None or candidate.refusal is not None or position in self._passed:
            return False
        grant = self._grant_at(position)
        if grant is not None and grant.pool.name == pool.name:
            self._passed.add(position)
            return False
        return self._elsewhere(pool, position) is None

    def considered(self, candidate: Candidate, filled: dict[str, Fullness]) -> Considered:
        """What the explanation says about a pool."""
        standing, why = self._said(candidate, filled)
        return Considered(candidate.name, candidate.position, standing, why)

    def _said(self, candidate: Candidate, filled: dict[str, Fullness]) -> tuple[PoolStanding, str]:
        pool, position = candidate.pool, candidate.position
        if pool is None or position is None or candidate.refusal is not None:
            return PoolStanding.REFUSES, candidate.refusal or ""
        grant = self._grant_at(position)
        if grant is not None and grant.pool.name == pool.name:
            return PoolStanding.GIVES, self._given(grant)
        elsewhere = self._elsewhere(pool, position)
        if elsewhere is not None:
            return PoolStanding.REFUSES, elsewhere
        fullness = filled.get(pool.name)
        length = self._prefix_length_at(position)
        if grant is not None and fullness is None:
            what = "an address" if length is None else f"a /{length}"
            return PoolStanding.SPARE, f"pool {grant.pool.name} comes first and has {what}"
        return _fill(pool, fullness, length)

    def _grant_at(self, position: int) -> Grant | None:
        return self._grants[position] if position < len(self._grants) else None

    def _given(self, grant: Grant) -> str:
        reservation = self._catalogue.mask(grant.pool).reservation_of(grant.address)
        kept = f", which is reserved for {reservation.holder}" if reservation is not None else ""
        hold, before = self._holds.having.get(grant.address), self._before.get(grant.address)
        of_hold = f", out of hold {hold}" if hold is not None else ""
        return f"it would give {grant.written}{kept}{of_hold}" + (f", {before}" if before is not None else "")

    def _prefix_length_at(self, position: int) -> int | None:
        return self._asked[position].prefix_length if position < len(self._asked) else None

    def _elsewhere(self, pool: Pool, position: int) -> str | None:
        """Why a quota, what a pool gives, or the place of a requested or reserved address forbids a pool.

        None if none does.
        """
        length = self._prefix_length_at(position)
        error = self._error
        if isinstance(error, OwnerFull) and error.address in pool.subnet:
            return str(error)
        if length is None and pool.prefix_length is not None:
            return no_addresses(pool)
        weight = quota_weight(pool.family, length)
        for quota, tally, used in self._quotas:
            if used + weight > quota.limit and counts(quota, pool) and tally.family == pool.family:
                return str(exceeded(quota, tally, used, weight))
        if isinstance(error, AddressUnavailable) and error.address.version == pool.family:
            why = why_not_had(error.address, pool, self._request, self._catalogue)
            return str(AddressUnavailable(error.address, why)) if why is not None else None
        asked = self._asked[position] if position < len(self._asked) else None
        if asked is None or asked.place is None:
            return None
        if all(each.name != pool.name for each in asked.pools):
            return f"this address of the answer must be {asked.place}, of pool {asked.pools[0].name}"
        if isinstance(error, AddressTaken) and asked.place.contains(error.address):
            return str(error)
        return None


def _selected_or_none(request: AllocationRequest, catalogue: Catalogue) -> Sequence[AddressRequest]:
    try:
        return select(request, catalogue)
    except DomainError:
        return ()  # the outcome says which: the dry run met the same


def _fill(pool: Pool, fullness: Fullness | None, length: int | None) -> tuple[PoolStanding, str]:
    if fullness is None:
        return PoolStanding.FULL, f"pool {pool.name} was deleted meanwhile"
    if pool.state is PoolState.DRAINING:
        return PoolStanding.DRAINING, str(fullness)
    if fullness.free > 0 and length is not None:
        why = f"pool {pool.name} has {fullness.free} of {fullness.size} free, but no whole /{length} of them"
        return PoolStanding.FULL, why
    if fullness.free > 0:
        return PoolStanding.SPARE, f"pool {pool.name} has {fullness.free} of {fullness.size} free"
    return PoolStanding.FULL, str(fullness)
