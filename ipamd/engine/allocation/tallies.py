"""What quotas count, as one batch changes it: which pools are used up for whom, and what is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain

from msgspec import structs

from ipamd.backends.interface import Tallied, TallyChange
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.quotas import QuotaIndex
from ipamd.models.allocation import Allocation
from ipamd.models.errors import QuotaExceeded
from ipamd.models.lease import SeatEvent
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally, cluster_of, quota_weight
from ipamd.models.request import AllocationRequest

Limit = tuple[Quota, Tally]
"""A quota that counts for a call, and where."""


class BatchTallies:
    """The tallies of one batch, as they were read and as it changes them.

    Others may change them until this batch writes. So a change says up to which number it is right. A quota
    that is counting is taken whole, and limits nobody.
    """

    def __init__(self, quotas: QuotaIndex) -> None:
        self._quotas = quotas
        self._needed: dict[int, set[Tally | str]] = {}
        self._limits: dict[int, tuple[Limit, ...]] = {}
        self._read: Mapping[Tally, int] = {}
        self._used: dict[Tally, int] = {}
        self._most: list[tuple[int, Tally, int]] = []

    def expect_rows(self, at: int, rows: Iterable[Allocation]) -> None:
        """Note what a call needs whose rows end."""
        if self._quotas:
            for row in rows:
                self._need(at, self._limits_of(row))

    def expect_request(self, at: int, request: AllocationRequest, wanted: Sequence[AddressRequest]) -> None:
        """Note what limits a request."""
        limits = limits_of(request, wanted, self._quotas)
        if limits:
            self._limits[at] = limits
            self._need(at, limits)

    def expect_events(self, at: int, events: Iterable[tuple[SeatEvent, Sequence[Allocation]]]) -> None:
        """Note what a report needs: its events, each with the rows of its seat."""
        if self._quotas:
            for event, rows in events:
                for row in rows:
                    self._need(at, self._limits_of(row))
                    self._need(at, self._limits_in(event.holder.cluster, event.workload.namespace, row))

    @property
    def wanted(self) -> list[Tally]:
        """The tallies to read."""
        return sorted({each for each in chain(*self._needed.values()) if isinstance(each, Tally)})

    @property
    def counting(self) -> list[str]:
        """The quotas to take as counting."""
        return sorted({each for each in chain(*self._needed.values()) if isinstance(each, str)})

    @property
    def are_needed(self) -> bool:
        """Whether anything is to be read or taken."""
        return bool(self._needed)

    def receive(self, found: Tallied) -> Set[int]:
        """Take in what was read. Returns the calls that others stand in the way of."""
        self._read, self._used = found.used, dict(found.used)
        return {at for at, needed in self._needed.items() if not found.busy.isdisjoint(needed)}

    def limits(self, at: int) -> bool:
        """Whether quotas limit a call."""
        return at in self._limits

    def allowed(self, at: int, asked: AddressRequest) -> AddressRequest:
        """What a call asks for, without the pools of which its quotas are used up.

        What is adopted is asked for as it is. Raises QuotaExceeded if no pool is left.
        """
        limits = self._limits.get(at)
        if limits is None or asked.adopted:
            return asked
        used_up = [
            (quota, tally)
            for quota, tally in limits
            if not quota.counting
            and tally.family == asked.pools[0].family
            and self._used[tally] + quota_weight(tally.family, asked.prefix_length) > quota.limit
            and _counts_any(quota, asked.pools)
        ]
        if not used_up:
            return asked
        left = tuple(pool for pool in asked.pools if not any(counts(quota, pool) for quota, _ in used_up))
        quota, tally = min(used_up, key=self._strictness)
        weight = quota_weight(tally.family, asked.prefix_length)
        error = exceeded(quota, tally, self._used[tally], weight, tuple(each for _, each in used_up))
        if not left:
            raise error
        return structs.replace(asked, pools=left, closed_by=error)

    def take(self, at: int, pool: Pool, prefix_length: int | None = None, *, adopted: bool = False) -> None:
        """Count an address that a call takes, or a prefix."""
        weight = quota_weight(pool.family, prefix_length)
        for quota, tally in self._counting_in(at, pool):
            if not adopted:
                self._most.append((at, tally, self._read[tally] + quota.limit - weight - self._used[tally]))
            self._move(quota, tally, weight)

    def untake(self, at: int, pool: Pool, prefix_length: int | None = None) -> None:
        """Count it no more, since the call gets nothing in this round. What was taken last comes first."""
        weight = quota_weight(pool.family, prefix_length)
        for quota, tally in reversed(self._counting_in(at, pool)):
            self._move(quota, tally, -weight)
            if self._most and self._most[-1][:2] == (at, tally):
                self._most.pop()

    def begin(self, row: Allocation) -> None:
        """Count a row that begins."""
        for quota, tally in self._limits_of(row):
            self._move(quota, tally, 1)

    def end(self, row: Allocation) -> None:
        """Count a row no more."""
        for quota, tally in self._limits_of(row):
            self._move(quota, tally, -quota_weight(tally.family, row.prefix_length))

    def changes(self) -> dict[Tally, TallyChange]:
        """The changes to write."""
        most: dict[Tally, int] = {}
        for _, tally, bound in self._most:
            most[tally] = min(bound, most.get(tally, bound))
        moved = ((tally, used - self._read[tally]) for tally, used in self._used.items())
        return {tally: TallyChange(by, most.get(tally)) for tally, by in moved if by}

    def _counting_in(self, at: int, pool: Pool) -> list[Limit]:
        """The quotas that count a call's address of a pool, and know what is used."""
        return [
            (quota, tally)
            for quota, tally in self._limits.get(at, ())
            if tally.family == pool.family and not quota.counting and counts(quota, pool)
        ]

    def _strictness(self, limit: Limit) -> tuple[int, int]:
        """How much a limit leaves; of two that leave the same the lower one is told."""
        quota, tally = limit
        return quota.limit - self._used[tally], quota.limit

    def _need(self, at: int, limits: Iterable[Limit]) -> None:
        for quota, tally in limits:
            self._needed.setdefault(at, set()).add(quota.name if quota.counting else tally)

    def _limits_of(self, row: Allocation) -> Iterator[Limit]:
        return self._limits_in(cluster_of(row), row.workload.namespace, row)

    def _limits_in(self, cluster: str, namespace: str | None, row: Allocation) -> Iterator[Limit]:
        """The quotas of a namespace that count the address of a row."""
        family = row.address.version
        for quota in self._quotas.of(cluster, namespace):
            if quota.counts(row.pool, row.space, family):
                yield quota, quota.tally(cluster, namespace or "", family)

    def _move(self, quota: Quota, tally: Tally, by: int) -> None:
        if not quota.counting:
            self._used[tally] += by


def limits_of(
    request: AllocationRequest, wanted: Sequence[AddressRequest], quotas: QuotaIndex
) -> tuple[Limit, ...]:
    """The quotas that count for a request, by what it asks for."""
    cluster, namespace = request.holder.cluster or "", request.workload.namespace
    limits = {
        quota.tally(cluster, namespace or "", asked.pools[0].family): quota
        for quota in quotas.of(cluster, namespace)
        for asked in wanted
        if _counts_any(quota, asked.pools)
    }
    return tuple((quota, tally) for tally, quota in limits.items())


def counts(quota: Quota, pool: Pool) -> bool:
    """Whether a quota counts addresses of a pool."""
    return quota.counts(pool.name, pool.space, pool.family)


def exceeded(
    quota: Quota, tally: Tally, used: int, weight: int, used_up: tuple[Tally, ...] = ()
) -> QuotaExceeded:
    """The error of a quota that has no room for what counts so much; nor have others that are `used_up`."""
    return QuotaExceeded(tally, quota.limit, used, weight, used_up)


def _counts_any(quota: Quota, pools: Sequence[Pool]) -> bool:
    """Whether a quota counts addresses of any of these pools, which are of one family."""
    if quota.pool is None and quota.space is None:
        return quota.family in (None, pools[0].family)
    return any(counts(quota, pool) for pool in pools)
