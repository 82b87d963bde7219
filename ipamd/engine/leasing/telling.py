"""What a node does not know yet: answers of its seats, and what ipamd ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.leasing.conversation import Asking, EndedContainer, KnownContainer, SeatAnswer, SeatState
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND, Instant
from ipamd.models.lease import Lease, Seat
from ipamd.models.outcome import Grant
from ipamd.models.query import AllocationQuery, HistoryQuery

PAGE: Final = 500


class Telling:
    """Reads what a node lacks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def answers(
        self,
        asking: Asking,
        lease: Lease,
        seats: Mapping[int, Seat],
        rows: Mapping[int, Sequence[Allocation]],
        catalogue: Catalogue,
        now: Instant,
    ) -> list[SeatAnswer]:
        """The seats that a node does not name, and those whose pools have changed.

        Recalled ones are told too: only the node can say that it has not given them.
        """
        told = [
            seat
            for number, seat in seats.items()
            if seat.void_in != lease.boot and _is_news(asking, number, rows.get(number, ()), catalogue)
        ]
        configurations = await self._ledger.configurations(list({seat.configuration for seat in told}))
        answers = []
        for seat in told:
            own = rows.get(seat.number, ())
            free_since = max((row.free_since or 0 for row in own), default=0)
            pools = catalogue.pools
            longest = max((pools[row.pool].cooldown for row in own), default=0)
            answers.append(
                SeatAnswer(
                    seat.number,
                    seat.key,
                    configurations[seat.configuration],
                    tuple(Grant(row.address, pools[row.pool]) for row in own),
                    max(free_since + longest * SECOND - now, 0),
                )
            )
        return answers

    async def ended(
        self, asking: Asking, untaken: Sequence[int], rows: Mapping[int, Sequence[Allocation]]
    ) -> list[EndedContainer]:
        """The last containers of seats that a node says are taken, and that are free at ipamd.

        If the node has given a seat to another container since, it does not find this one there.
        """
        found = []
        for number in untaken:
            for row in rows.get(number, ())[:1]:
                query = HistoryQuery(address=row.address, space=row.space)
                for past in await self._ledger.history(query, row.id, 1):
                    if isinstance(past.holder, Identity) and past.holder.node_key == asking.node:
                        uptime = past.repeated.uptime_ns
                        found.append(EndedContainer(past.holder, past.boot, uptime, number))
        return found

    async def identities(
        self, asking: Asking, rows: Mapping[int, Sequence[Allocation]]
    ) -> list[KnownContainer]:
        """The containers of a node that have addresses, but for those of seats that it names as taken."""
        known = {
            row.holder
            for number, state in asking.seats.items()
            if state is SeatState.TAKEN
            for row in rows.get(number, ())
        }
        query = AllocationQuery(cluster=asking.node.cluster, node=asking.node.name)
        latest: dict[Identity, Allocation] = {}
        after: int | None = None
        while page := await self._ledger.page(query, after, PAGE):
            after = page[-1].id
            for row in page:
                if isinstance(row.holder, Identity) and row.holder not in known:
                    other = latest.setdefault(row.holder, row)
                    latest[row.holder] = max(row, other, key=lambda each: each.repeated)
        return [KnownContainer(who, row.boot, row.repeated.uptime_ns) for who, row in latest.items()]


def untaken(
    asking: Asking, lease: Lease, seats: Mapping[int, Seat], rows: Mapping[int, Sequence[Allocation]]
) -> list[int]:
    """The seats that a node says are taken, and that are free at ipamd."""
    return [
        number
        for number, state in asking.seats.items()
        if state is SeatState.TAKEN
        and number in seats
        and seats[number].void_in != lease.boot
        and all(row.is_free_seat for row in rows.get(number, ()))
    ]


def _is_news(asking: Asking, number: int, own: Sequence[Allocation], catalogue: Catalogue) -> bool:
    """Whether a node is to be told of a seat: it does not name it, or its answer has changed."""
    if not own or any(row.pool not in catalogue.pools for row in own):
        return False
    state = asking.seats.get(number)
    if state is None:
        return all(row.is_free_seat for row in own)
    changed = any(catalogue.pools[row.pool].revision > asking.revision for row in own)
    return changed and state is not SeatState.RETURNING
