"""Who stands before whom among those who wait for room. Pure.

What is short has a name: a pool, a hold, a quota's limit, one address or certain prefix. A request would
*take* of some, and a waiter *lacks* some of those that it would take. It stands before later ones that would
take what it lacks.

These names are stored, and replicas of several versions compare them: they stay as they are, whatever the
wording of errors becomes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.holds import with_holds
from ipamd.engine.allocation.selection import select
from ipamd.engine.allocation.tallies import counts, limits_of
from ipamd.engine.catalogue import Catalogue
from ipamd.models.address import AddressRange
from ipamd.models.errors import (
    AddressTaken,
    AddressUnavailable,
    DomainError,
    NothingFree,
    QuotaExceeded,
    Unavailable,
)
from ipamd.models.hold import Hold
from ipamd.models.pool import Pool
from ipamd.models.quota import Tally
from ipamd.models.request import AllocationRequest, LeftToOthers
from ipamd.models.waiter import Waiter

_POOL: Final = "pool "
_HOLD: Final = "hold "
_ADDRESS: Final = "address "
_PREFIX: Final = "prefix "


@dataclass(frozen=True, slots=True)
class Taking:
    """What a request may take of.

    Its `sources` are pools, holds, and what is reserved for who asks. `closes` has each name that it takes
    of, with the sources that it loses if those before it lack that: a quota closes the pools that it counts.
    """

    sources: frozenset[str] = frozenset()
    closes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.closes)

    def closed(self, lacked: Iterable[str]) -> set[str]:
        """The sources that are left to those who lack some of what it takes."""
        return {source for name in lacked for source in self.closes[name]}


def takes(request: AllocationRequest, catalogue: Catalogue) -> Taking:
    """All that a request may take of.

    Who has a reservation takes its addresses, and nothing that others wait for. Raises what `select` raises.
    """
    wanted = with_holds(select(request, catalogue), request, catalogue)
    sources = [_sources(asked, catalogue) for asked in wanted]
    closes: dict[str, set[str]] = {}
    for asked, pools in zip(wanted, sources, strict=True):
        for name, closed in _closed(asked, pools):
            closes.setdefault(name, set()).update(closed)
    for quota, tally in limits_of(request, wanted, catalogue.quotas):
        counted = {
            name
            for pools in sources
            for name, pool in pools.items()
            if pool.family == tally.family and counts(quota, pool)
        }
        closes[_limit(tally)] = counted
    return Taking(frozenset().union(*sources), {name: frozenset(closed) for name, closed in closes.items()})


def lacks(error: DomainError, taken: Sequence[str]) -> tuple[str, ...]:
    """What a refused request waits for, of all that it would take; nothing if waiting does not help."""
    if isinstance(error, NothingFree):
        return _empty(error, taken)
    if isinstance(error, QuotaExceeded):
        return _limits(error, taken)
    if isinstance(error, AddressTaken) or (isinstance(error, AddressUnavailable) and error.until is not None):
        return tuple(name for name in taken if name.startswith(_ADDRESS))
    if isinstance(error, Unavailable):
        return tuple(taken)
    return ()


def before(waiters: Sequence[Waiter], taken: Collection[str], number: int | None = None) -> int:
    """How many stand before a waiter, or before a newcomer that has no number."""
    return sum(any(name in taken for name in waiter.lacks) for waiter in _earlier(waiters, number))


def ahead_of(request: AllocationRequest, waiters: Sequence[Waiter], catalogue: Catalogue) -> int:
    """How many stand before a request that is to wait."""
    try:
        return before(waiters, takes(request, catalogue).names)
    except DomainError:
        return 0  # it is refused at once


def blocked(waiters: Sequence[Waiter], taken: Iterable[str], number: int | None = None) -> tuple[str, ...]:
    """What those lack who stand before a waiter, of all that it would take."""
    lacked = {name for waiter in _earlier(waiters, number) for name in waiter.lacks}
    return tuple(name for name in taken if name in lacked)


def may_try(taking: Taking, lacked: Collection[str]) -> bool:
    """Whether a source is left to try for somebody, if those before it lack some of what it would take.

    Who may be served by one of several pools passes those who wait for another one, or for a quota of it. Who
    may be served out of a hold passes those who wait for its pool.
    """
    return not lacked or bool(taking.sources - taking.closed(lacked))


def narrowed(request: AllocationRequest, taking: Taking, lacked: Collection[str]) -> AllocationRequest:
    """A request that takes nothing of what those lack who stand before it."""
    if not lacked:
        return request
    closed = sorted(taking.closed(lacked))
    holds = tuple(name.removeprefix(_HOLD).split()[0] for name in closed if name.startswith(_HOLD))
    return structs.replace(request, left=LeftToOthers(pools_of(closed), holds))


def pools_of(taken: Iterable[str]) -> tuple[str, ...]:
    """The pools among what a request would take of, or what others lack."""
    return tuple(name.removeprefix(_POOL) for name in taken if name.startswith(_POOL))


def _sources(asked: AddressRequest, catalogue: Catalogue) -> dict[str, Pool]:
    """The sources of an address, each with its pool."""
    if asked.place is not None and (asked.reservation is not None or _is_reserved(asked, catalogue)):
        return {_place(asked.pools[0], asked.place): asked.pools[0]}
    pools = {pool.name: pool for pool in asked.pools}
    return {_pool(pool): pool for pool in asked.pools} | {
        _hold(hold): pools[hold.pool] for hold in asked.holds
    }


def _closed(asked: AddressRequest, sources: Collection[str]) -> Iterator[tuple[str, Collection[str]]]:
    """The names that an address takes of, but for quotas, each with the sources that it closes."""
    if asked.place is not None:
        yield _place(asked.pools[0], asked.place), sources
    elif asked.prefix_length is not None:
        # A pool may have addresses, and for long no whole prefix: who waits for one keeps nobody from them.
        for pool in asked.pools:
            yield _whole(asked.prefix_length, pool.name), (_pool(pool),)
    yield from ((source, (source,)) for source in sources)


def _empty(error: NothingFree, taken: Sequence[str]) -> tuple[str, ...]:
    """What those pools lack that have nothing, the holds of them, and quotas that close other pools."""
    certain = any(name.startswith(_ADDRESS) for name in taken)
    limits = _limits(error.closed_by, taken) if error.closed_by is not None else ()
    if error.prefix_length is not None and not certain:
        wanted = [_whole(error.prefix_length, pool) for pool in error.pools]
    else:
        wanted = [_POOL + pool for pool in error.pools]
        # A hold that lacks one certain address may have others.
        wanted += [] if certain else [name for name in taken if _pool_of_hold(name) in error.pools]
    return tuple(name for name in taken if name in wanted or name in limits)


def _limits(error: QuotaExceeded, taken: Sequence[str]) -> tuple[str, ...]:
    """The quotas that have no room, of all that a request would take of."""
    used_up = [_limit(tally) for tally in error.used_up]
    return tuple(name for name in taken if name in used_up)


def _is_reserved(asked: AddressRequest, catalogue: Catalogue) -> bool:
    """Whether a requested address is reserved: then it is for who asks, or the request is refused."""
    assert asked.place is not None  # it is asked of those that have one
    return catalogue.mask(asked.pools[0]).reservation_of(asked.place.first) is not None


def _pool(pool: Pool) -> str:
    return _POOL + pool.name


def _hold(hold: Hold) -> str:
    return f"{_HOLD}{hold.name} of {_POOL}{hold.pool}"


def _pool_of_hold(name: str) -> str | None:
    """The pool of the hold of that name, None if it is the name of something else."""
    return name.rpartition(_POOL)[2] if name.startswith(_HOLD) else None


def _whole(length: int, pool: str) -> str:
    return f"{_PREFIX}/{length} of {pool}"


def _place(pool: Pool, place: AddressRange) -> str:
    return f"{_ADDRESS}{place} of {pool.space}"


def _limit(tally: Tally) -> str:
    whose = f"namespace {tally.namespace}" if tally.namespace else "the namespaces that share it"
    cluster = f" of cluster {tally.cluster}" if tally.cluster else ""
    return f"quota {tally.quota} IPv{tally.family} of {whose}{cluster}"


def _earlier(waiters: Iterable[Waiter], number: int | None) -> list[Waiter]:
    """Those with a lower number; all, if there is none yet."""
    return [waiter for waiter in waiters if number is None or waiter.number < number]
