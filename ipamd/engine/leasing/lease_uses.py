"""What people ask of leases: who has which, and how many."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ipamd.backends.interface import Ledger
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.nodes import SILENT
from ipamd.engine.leasing.conversation import LeaseUse
from ipamd.engine.leasing.leases import by_seat
from ipamd.models.lease import Lease


class Counts(NamedTuple):
    """Sums over leases."""

    leases: int = 0
    silent: int = 0


class LeaseUses:
    """Reads leases for lists and metrics. All methods raise Unavailable."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def count(self) -> Counts:
        """How many nodes have leases, and how many of those with seats were not heard from lately."""
        leases = [lease for lease in await self._ledger.leases(None) if lease.until]
        since = self._clock() - SILENT
        quiet = {lease.node for lease in leases if lease.heard < since}
        silent = quiet & await self._ledger.nodes_with_seats() if quiet else quiet
        return Counts(len(leases), len(silent))

    async def of_nodes(self, cluster: str | None, node: str | None, pool: str | None) -> list[Lease]:
        """The leases of nodes, or of those with a seat of a pool."""
        holders = None if pool is None else await self._ledger.seat_counts([pool])
        return [
            lease
            for lease in await self._ledger.leases(None)
            if cluster in (None, lease.node.cluster)
            and node in (None, lease.node.name)
            and (holders is None or lease.node in holders)
        ]

    async def use_of(self, lease: Lease) -> LeaseUse:
        """A lease with its seats."""
        rows = by_seat(await self._ledger.seat_rows(lease.node))
        taken = sum(not all(row.is_free_seat for row in own) for own in rows.values())
        return LeaseUse(
            node=lease.node,
            epoch=lease.epoch,
            machine=lease.machine,
            boot=lease.boot,
            until=lease.until,
            heard=lease.heard,
            reported=lease.reported,
            seats=len(rows),
            taken=taken,
            pools=Counter(row.pool for own in rows.values() for row in own),
        )
