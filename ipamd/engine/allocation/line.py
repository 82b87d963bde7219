"""Who stands before whom among those who wait for room. Pure.

What is short has a name: a pool, a hold, a quota's limit, one address or certain prefix. A request would
*take* of some, and a waiter *lacks* some of those that it would take. It stands before later ones that would
take what it lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import structs

from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.holds import with_holds
from ipamd.engine.allocation.selection import select
from ipamd.engine.allocation.tallies import limits_of
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
from ipamd.models.quota import Quota, Tally
from ipamd.models.request import AllocationRequest, LeftToOthers
from ipamd.models.waiter import Waiter

_POOL: Final = "pool "
_HOLD: Final = "hold "
_ADDRESS: Final = "address "
_PREFIX: Final = "prefix "


def takes(request: AllocationRequest, catalogue: Catalogue) -> tuple[str, ...]:
    """The names of all that a request may take of.

    Who has a reservation takes its addresses, and nothing that others wait for. Raises what `select` raises.
    """
    wanted = with_holds(select(request, catalogue), request, catalogue)
    names = [name for asked in wanted for name in _taken(asked, catalogue)]
    names += [_limit(quota, tally) for quota, tally in limits_of(request, wanted, catalogue.quotas)]
    return tuple(dict.fromkeys(names))


def lacks(error: DomainError, taken: Iterable[str]) -> tuple[str, ...]:
    """What a refused request waits for, of all that it would take; nothing if waiting does not help."""
    if isinstance(error, NothingFree):
        return _empty(error, tuple(taken))
    if isinstance(error, QuotaExceeded):
        return tuple(name for name in taken if name.startswith(f"quota {error.quota} "))
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
        return before(waiters, takes(request, catalogue))
    except DomainError:
        return 0  # it is refused at once


def blocked(waiters: Sequence[Waiter], taken: Iterable[str], number: int | None = None) -> tuple[str, ...]:
    """What those lack who stand before a waiter, of all that it would take."""
    lacked = {name for waiter in _earlier(waiters, number) for name in waiter.lacks}
    return tuple(name for name in taken if name in lacked)


def may_try(taken: Sequence[str], lacked: Collection[str]) -> bool:
    """Whether something is left to try for somebody, if those before it lack some of what it would take.

    Who may be served by one of several pools passes those who wait for another one. Who may be served out of
    a hold passes those who wait for its pool.
    """
    if not lacked:
        return True
    if any(name.startswith(_PREFIX) for name in taken):
        return False
    sources = [name for name in taken if name.startswith((_POOL, _HOLD))]
    return all(name in sources for name in lacked) and any(name not in lacked for name in sources)


def narrowed(request: AllocationRequest, lacked: Collection[str]) -> AllocationRequest:
    """A request that takes nothing of what those lack who stand before it."""
    if not lacked:
        return request
    holds = tuple(name.removeprefix(_HOLD).split()[0] for name in lacked if name.startswith(_HOLD))
    return structs.replace(request, left=LeftToOthers(pools_of(lacked), holds))


def pools_of(taken: Iterable[str]) -> tuple[str, ...]:
    """The pools among what a request would take of, or what others lack."""
    return tuple(name.removeprefix(_POOL) for name in taken if name.startswith(_POOL))


def _taken(asked: AddressRequest, catalogue: Catalogue) -> list[str]:
    if asked.prefix_length is not None and asked.place is None:
        # A pool may have addresses, and for long no whole prefix: who waits for one keeps nobody from them.
        whole = [_whole(asked.prefix_length, pool.name) for pool in asked.pools]
        return [*whole, *(_pool(pool) for pool in asked.pools)]
    holds = [_hold(hold) for hold in asked.holds]
    if asked.place is None:
        return [*(_pool(pool) for pool in asked.pools), *holds]
    names = [_place(asked.pools[0], asked.place)]
    if asked.reservation is None and not _is_reserved(asked, catalogue):
        names += [_pool(asked.pools[0]), *holds]
    return names


def _empty(error: NothingFree, taken: Sequence[str]) -> tuple[str, ...]:
    """What those pools lack that have nothing, and the holds of them."""
    certain = any(name.startswith(_ADDRESS) for name in taken)
    if error.prefix_length is not None and not certain:
        wanted = [_whole(error.prefix_length, pool) for pool in error.pools]
        return tuple(name for name in taken if name in wanted)
    wanted = [_POOL + pool for pool in error.pools]
    # A hold that lacks one certain address may have others.
    wanted += [] if certain else [name for name in taken if _pool_of_hold(name) in error.pools]
    return tuple(name for name in taken if name in wanted)


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


def _limit(quota: Quota, tally: Tally) -> str:
    return f"quota {quota.name} IPv{tally.family} of {tally.whose}"


def _earlier(waiters: Iterable[Waiter], number: int | None) -> list[Waiter]:
    """Those with a lower number; all, if there is none yet."""
    return [waiter for waiter in waiters if number is None or waiter.number < number]
