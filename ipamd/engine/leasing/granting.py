"""Grants seats to a node, and says which it is to give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from ipamd.backends.interface import Backend, Changes, Transaction
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.leasing.conversation import Asking, SeatState, WantedSeats
from ipamd.engine.leasing.eligibility import pools_for, why_not_leased, why_recalled
from ipamd.engine.leasing.locking import LOCKS, locked_lease
from ipamd.engine.leasing.scarcity import Scarcity
from ipamd.models.allocation import Allocation
from ipamd.models.errors import LeaseOver
from ipamd.models.lease import (
    Lease,
    Seat,
    SeatKey,
    configuration_digest,
    seat_owner,
)
from ipamd.models.outcome import Granted, Refused
from ipamd.models.request import AllocationRequest, PoolNames, SeatRequest

MOST_FREE: Final = 64
"""How many free seats a node may have, over all its configurations."""


@dataclass(slots=True)
class GrantedSeats:
    """The numbers of new seats, and for a configuration why it got none, or no more."""

    numbers: list[int] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Granting:
    """Gives seats one by one, as an ADD is given its addresses."""

    def __init__(self, backend: Backend, allocator: Allocator, scarcity: Scarcity) -> None:
        self._backend = backend
        self._allocator = allocator
        self._scarcity = scarcity

    async def recalled(
        self,
        lease: Lease,
        seats: Mapping[int, Seat],
        rows: Mapping[int, Sequence[Allocation]],
        catalogue: Catalogue,
        named: Mapping[str, PoolNames],
    ) -> set[int]:
        """The seats that do not stand any more, and as many as a scarce pool needs.

        If all were recalled, all nodes would ask for new ones at once, and the pool would be scarce again.
        """
        found: set[int] = set()
        for number, seat in seats.items():
            own = rows.get(number, ())
            names = named.get(seat.key)
            is_recalled = seat.is_recalled or number <= lease.recalled
            if is_recalled or why_recalled(own, names, seat.network, lease.node, catalogue):
                found.add(number)
                continue
            if all(row.is_free_seat for row in own):
                pools = [catalogue.pools[row.pool] for row in own if row.pool in catalogue.pools]
                if any([await self._scarcity.room(pool) < 0 for pool in pools]):
                    found.add(number)
                    self._scarcity.give_back(pool.name for pool in pools)
        return found

    async def is_scarce(self, pools: Set[str]) -> bool:
        """Whether any of these pools has so little left that free seats are recalled. Raises Unavailable."""
        return await self._scarcity.any_below(pools)

    async def grant(
        self,
        asking: Asking,
        lease: Lease,
        seats: Mapping[int, Seat],
        rows: Mapping[int, Sequence[Allocation]],
        recalled: Set[int],
        catalogue: Catalogue,
    ) -> GrantedSeats:
        """Grant what a node lacks of what it wants. Raises LeaseOver, Unavailable, InDoubt."""
        granted = GrantedSeats()
        free = [
            seat
            for number, seat in seats.items()
            if number not in recalled and _is_or_will_be_free(number, seat, asking, lease, rows)
        ]
        left = MOST_FREE - len(free)
        for wanted in asking.wanted:
            count = min(wanted.free - sum(seat.key == wanted.key for seat in free), left)
            if count <= 0:
                continue
            why = await self._grant_some(count, wanted, asking, lease, catalogue, granted)
            if why is not None:
                granted.refused[wanted.key] = why
            left = MOST_FREE - len(free) - len(granted.numbers)
        return granted

    async def _grant_some(
        self,
        count: int,
        wanted: WantedSeats,
        asking: Asking,
        lease: Lease,
        catalogue: Catalogue,
        granted: GrantedSeats,
    ) -> str | None:
        why = why_not_leased(wanted.pool_names, wanted.network, asking.node, catalogue)
        if why is not None:
            return why
        pools = pools_for(wanted.pool_names, wanted.network, asking.node, catalogue)
        names = {pool.name for pool in pools}
        for number in await self._reserve(lease, wanted, count):
            for pool in pools:
                if await self._scarcity.room(pool) <= 0:
                    return f"pool {pool.name} has less than a tenth of its addresses free"
            request = AllocationRequest(
                holder=seat_owner(SeatKey(asking.node, number)),
                pool_names=wanted.pool_names,
                node=asking.node,
                timeout=asking.timeout,
                seat=SeatRequest(
                    SeatKey(asking.node, number),
                    lease.epoch,
                    wanted.key,
                    configuration_digest(wanted.configuration),
                    wanted.network,
                ),
            )
            self._scarcity.take(names)  # before it is: other nodes are granted seats meanwhile
            outcome = await self._allocator.submit(request)
            taken = {grant.pool.name for grant in outcome.grants} if isinstance(outcome, Granted) else set()
            self._scarcity.give_back(names - taken)
            if isinstance(outcome, Granted):
                granted.numbers.append(number)
            elif isinstance(outcome, Refused):
                if isinstance(outcome.error, LeaseOver):
                    raise outcome.error
                return str(outcome.error)
        return None

    async def _reserve(self, lease: Lease, wanted: WantedSeats, count: int) -> range:
        """Numbers for new seats; the configuration is stored for all of them."""

        async def work(transaction: Transaction) -> range:
            known = await locked_lease(transaction, lease.node)
            if known is None or known.epoch != lease.epoch:
                raise LeaseOver(lease.node.name)
            last = known.seats + count
            digest = configuration_digest(wanted.configuration)
            await transaction.write(
                Changes(
                    leases=[structs.replace(known, seats=last)],
                    configurations={digest: wanted.configuration},
                )
            )
            return range(known.seats + 1, last + 1)

        return await self._backend.transact(work, LOCKS)


def _is_or_will_be_free(
    number: int,
    seat: Seat,
    asking: Asking,
    lease: Lease,
    rows: Mapping[int, Sequence[Allocation]],
) -> bool:
    """Whether a node has a seat free, or is told of it now."""
    state = asking.seats.get(number)
    if state is None:
        return seat.void_in != lease.boot and all(row.is_free_seat for row in rows.get(number, ()))
    return state is SeatState.FREE
