"""The pools that a request looks at, in the order in which it does, and which refuse it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ipamd.engine.allocation.pool_choice import (
    MOST_NAMED,
    alternatives,
    listed,
    why_not_selected,
    why_not_unasked,
)
from ipamd.engine.catalogue import Catalogue, RequestContext
from ipamd.models.errors import Fullness, PoolUnknown
from ipamd.models.pool import Pool
from ipamd.models.request import PoolNames


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool for one address of an answer: `refusal` says why it is not for who asks, None when it is.

    `position` is None if no address of the answer may come from it, `pool` if there is no such pool.
    """

    name: str
    pool: Pool | None
    position: int | None
    refusal: str | None


def candidates_of(
    pool_names: PoolNames, context: RequestContext, catalogue: Catalogue
) -> Iterator[Candidate]:
    """The pools that are named, or else all: those chosen by selectors first, then the others by name."""
    if pool_names:
        for position, slot in enumerate(pool_names):
            yield from (_named(name, position, context, catalogue) for name in slot)
        return
    chosen = alternatives((), context, catalogue)
    for position, pools in enumerate(chosen):
        yield from (Candidate(pool.name, pool, position, None) for pool in pools)
    taken = {pool.name for pools in chosen for pool in pools}
    for _, pool in catalogue.pools_by_name:
        if pool.name not in taken:
            yield Candidate(pool.name, pool, None, why_not_unasked(pool, context, catalogue))


def count_candidates(pool_names: PoolNames, context: RequestContext, catalogue: Catalogue) -> int:
    """How many `candidates_of` gives, without looking at each."""
    if pool_names:
        return sum(map(len, pool_names))
    chosen = [pool.name for pools in alternatives((), context, catalogue) for pool in pools]
    return len(chosen) + len(catalogue.pools) - len(set(chosen))


def _named(name: str, position: int, context: RequestContext, catalogue: Catalogue) -> Candidate:
    pool = catalogue.pools.get(name)
    if pool is None:
        return Candidate(name, None, position, str(PoolUnknown(name)))
    return Candidate(name, pool, position, why_not_selected(pool, context, catalogue))


def why_nothing(
    pool_names: PoolNames, context: RequestContext, catalogue: Catalogue, full: Sequence[Fullness]
) -> str:
    """What an error says of pools: how full these are, and why those that stand beside them refuse.

    Beside pools that are named stand their alternatives. Where none is named and none was chosen, all refuse.
    """
    reasons = [str(each) for each in full]
    if not pool_names and not full:
        every = catalogue.pools.values()
        some = (why_not_unasked(pool, context, catalogue) for pool in islice(every, MOST_NAMED))
        return listed([why for why in some if why is not None], len(every))
    beside = {each.pool for each in full}
    slot: Sequence[str] = next((slot for slot in pool_names if beside <= set(slot)), ())
    refusals = (_named(name, 0, context, catalogue).refusal for name in slot if name not in beside)
    return listed([*reasons, *(refusal for refusal in refusals if refusal is not None)])
