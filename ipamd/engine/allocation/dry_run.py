"""A request tried for its answer alone: decided as it would be, in a transaction that is always undone."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NoReturn

from ipamd.backends.interface import Transaction
from ipamd.engine.allocation.call import AllocateCall, NeedsBlock, Verdict
from ipamd.engine.allocation.carving import Carver
from ipamd.engine.allocation.settle import decide
from ipamd.engine.catalogue import Catalogue
from ipamd.models.instant import Instant


class Rehearsed(Exception):
    """Ends the unit of work of a rehearsal, so that nothing of it is kept; carries the verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict


async def rehearse(
    ask: AllocateCall,
    lacking: Sequence[NeedsBlock],
    transaction: Transaction,
    catalogue: Catalogue,
    carved_out: Set[str],
    now: Instant,
) -> NoReturn:
    """Decide a request as a batch of its own; raises Rehearsed, or what keeps it from being decided.

    `lacking` are the blocks that an attempt before found missing. They are carved here, first of all, while
    the transaction holds no block: nobody else ever sees them.
    """
    if lacking:
        carved_out = carved_out | await Carver().carve(lacking, transaction, catalogue)
    plan = await decide([ask], transaction, catalogue, carved_out, now)
    raise Rehearsed(plan.verdicts()[0])
