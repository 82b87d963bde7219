"""A call tried for its answer alone: decided as it would be, in a transaction that is undone."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ipamd.backends.interface import Transaction, Undone
from ipamd.engine.allocation.call import AllocateCall, NeedsBlock, Verdict
from ipamd.engine.allocation.carving import Carver
from ipamd.engine.allocation.settle import decide
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading


async def dry_run(
    call: AllocateCall,
    lacking: Sequence[Sequence[NeedsBlock]],
    carver: Carver,
    transaction: Transaction,
    catalogue: Catalogue,
    carved_out: Set[str],
    clock: Reading,
) -> Undone[Verdict]:
    """Decide a call as a batch of its own; raises StaleCatalogue, and what the transaction raises.

    `lacking` are the blocks that each attempt before found missing. They are carved here, first of all and
    one attempt's after another's, while the transaction holds no block: nobody else ever sees them.
    """
    for each in lacking:
        carved_out = carved_out | await carver.carve(each, transaction, catalogue)
    plan = await decide([call], transaction, catalogue, carved_out, clock)
    return Undone(plan.verdicts()[0])
