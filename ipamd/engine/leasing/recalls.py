"""Requests that wait until nodes give back what they hold in advance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from ipamd.backends.interface import Backend, Changes, Transaction
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.pool_choice import MOST_NAMED, listed
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.leasing.locking import LOCKS
from ipamd.engine.leasing.scarcity import Scarcity
from ipamd.models.address import IPAddress
from ipamd.models.errors import AddressTaken, DomainError, NothingFree, Unavailable
from ipamd.models.instant import rfc3339
from ipamd.models.lease import SeatKey, node_of_seats
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Outcome, Refused
from ipamd.models.pool import PoolState
from ipamd.models.query import AllocationQuery
from ipamd.models.request import AllocationRequest

LOOK_EVERY: Final = 0.5
"""Seconds between two tries. Nodes that wait for news hear of a recall as soon."""


Why = Callable[[], Awaitable[str]]


class Recalls:
    """Tries a request again while nodes are to give addresses back."""

    def __init__(
        self, backend: Backend, allocator: Allocator, cache: CatalogueCache, scarcity: Scarcity
    ) -> None:
        self._backend = backend
        self._ledger = backend.ledger
        self._allocator = allocator
        self._cache = cache
        self._scarcity = scarcity

    async def again(self, request: AllocationRequest, refused: Refused) -> Outcome:
        """What becomes of a refused request within its time.

        If only nodes that do not answer hold what it needs, that is neither "nothing free" nor "taken": it is
        Unavailable, and names them.
        """
        outcome: Outcome = refused
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout - LOOK_EVERY
        recalled: set[SeatKey] = set()
        while isinstance(outcome, Refused):
            why = await self._why_wait(outcome.error, recalled)
            if why is None:
                break
            if loop.time() >= deadline:
                return Refused(Unavailable(await why()))
            wanted = outcome.error.pools if isinstance(outcome.error, NothingFree) else ()
            with self._scarcity.waited_for(wanted):
                await asyncio.sleep(LOOK_EVERY)
            outcome = await self._allocator.submit(request)
        return outcome

    async def _why_wait(self, error: DomainError, recalled: set[SeatKey]) -> Why | None:
        """What tells who is to give back what a request needs; None if nobody is."""
        if isinstance(error, NothingFree):
            pools = await self._leased(error.pools)
            return partial(self._who_holds, pools) if pools else None
        if isinstance(error, AddressTaken):
            seat = await self._recall(error.space, error.address, recalled)
            return partial(self._who_has, error.address, seat) if seat is not None else None
        return None

    async def _leased(self, pools: Sequence[str]) -> Sequence[str]:
        """Those of some pools of which nodes hold addresses in advance that others may have. By sums only."""
        known = self._cache.catalogue.pools
        active = [name for name in pools if name in known and known[name].state is PoolState.ACTIVE]
        fills = await self._ledger.fill(active)
        return [name for name in active if name in fills and fills[name].leased]

    async def _recall(self, space: str, address: IPAddress, recalled: set[SeatKey]) -> SeatKey | None:
        """Have a node give back the seat that an address is of. None if no node holds it in advance."""
        for row in await self._ledger.page(AllocationQuery(space=space, address=address), None, 1):
            if row.seat is None or not row.is_free_seat:
                return None
            seat = SeatKey(node_of_seats(row.held_by), row.seat.number)
            if seat not in recalled:
                recalled.add(seat)
                await self._backend.transact(partial(_recall, seat), LOCKS)
            return seat
        return None

    async def _who_has(self, address: IPAddress, seat: SeatKey) -> str:
        """Which node holds an address, as a sentence."""
        node = await self._named(seat.node)
        return f"{address} is held in advance by {node}, which was asked to give it back; try again"

    async def _who_holds(self, pools: Sequence[str]) -> str:
        """Which nodes hold free addresses of these pools, as a sentence."""
        counts = await self._ledger.seat_counts(pools)
        free = {node: count.free for node, count in counts.items() if count.free}
        most = sorted(free, key=lambda node: (-free[node], node))
        nodes = [f"{await self._named(node)} {free[node]}" for node in most[:MOST_NAMED]]
        of = " and ".join(f"pool {pool}" for pool in pools)
        return (
            f"what is left of {of} is held in advance by nodes that were asked to give it back: "
            f"{listed(nodes, len(most)) if nodes else 'they give it back now'}; try again"
        )

    async def _named(self, node: NodeKey) -> str:
        for lease in await self._ledger.leases(node):
            return f"node {node.name} (last heard at {rfc3339(lease.heard)})"
        return f"node {node.name}"


async def _recall(seat: SeatKey, transaction: Transaction) -> None:
    await transaction.write(Changes(recalled=[seat]))
