"""The heart: one coroutine that decides a batch, the same for every backend."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from ipamd.backends.interface import Transaction
from ipamd.engine.allocation.call import Call, NeedsBlock, Verdict
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.allocation.reports import find_leased
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading


class Settled(NamedTuple):
    """What became of a batch: a verdict for each call, and what is to be done once it is durable.

    `nearly_full` are the blocks that nodes will lack soon. `announces` says that others wait for its changes.
    """

    verdicts: Sequence[Verdict]
    nearly_full: Set[NeedsBlock]
    announces: bool


async def settle(
    calls: Sequence[Call],
    transaction: Transaction,
    catalogue: Catalogue,
    carved_out: Set[str],
    clock: Reading,
) -> Settled:
    """Decide a batch whole: every call gets its verdict, and all that follows is written or none of it.

    No two calls are of one holder. `carved_out` names the pools of which every block is carved. Raises
    StaleCatalogue, and what the transaction raises: CatalogueMoved among it.
    """
    plan = await _planned(calls, transaction, catalogue, carved_out, clock)
    changes = plan.changes()
    changes.decided_at = catalogue.revision
    await transaction.write(changes)
    return Settled(plan.verdicts(), plan.nearly_full(), bool(changes.announced))


async def decide(
    calls: Sequence[Call],
    transaction: Transaction,
    catalogue: Catalogue,
    carved_out: Set[str],
    clock: Reading,
) -> Plan:
    """The same without writing: what would become of a batch. Raises StaleCatalogue."""
    plan = await _planned(calls, transaction, catalogue, carved_out, clock)
    if await transaction.revision() != catalogue.revision:
        raise StaleCatalogue
    return plan


async def _planned(
    calls: Sequence[Call],
    transaction: Transaction,
    catalogue: Catalogue,
    carved_out: Set[str],
    clock: Reading,
) -> Plan:
    """A batch that is decided by a catalogue, with all locks that it needs: that catalogue may be stale."""
    depending = [call for call in calls if call.lease is not None]
    if depending:
        found, leased = await find_leased(calls, depending, transaction)
        plan = Plan(calls, found, catalogue, carved_out, clock, leased)
    else:
        holders = [digest for call in calls for digest in call.holders]
        plan = Plan(calls, await transaction.find(holders), catalogue, carved_out, clock)
    if plan.tallies.are_needed:
        plan.count(await transaction.tallies(plan.tallies.wanted, plan.tallies.counting))
    if workloads := plan.workloads():
        plan.remember(await transaction.former(list(workloads)))
    if holds := plan.hold_searches():
        plan.receive_holds(await transaction.of_holds(holds))
    while searches := plan.searches():
        plan.receive(searches, await transaction.lock(searches))
        if owned := plan.unread():
            plan.receive_owned(owned, await transaction.of_addresses(owned))
    return plan
