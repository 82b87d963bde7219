"""The addresses of holds in one batch: workloads take them, and they come back while their hold stands."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ipamd.backends.interface import Changes, Ended, HoldPosition, HoldSearch, LockedRows
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.former_addresses import kept
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.errors import NotFound
from ipamd.models.hold import Hold, HoldState, position_of
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import NO_CALL
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.request import AllocationRequest, LeftToOthers

Search = HoldSearch | HoldPosition


def with_holds(
    wanted: Sequence[AddressRequest], request: AllocationRequest, catalogue: Catalogue
) -> list[AddressRequest]:
    """What is asked for, each with the holds that are for its workload in its pools.

    What is adopted comes out of any hold: it lives. A reservation and what an owner has say themselves which
    address it is. A prefix comes out of none.
    """
    cluster, workload = request.holder.cluster or "", request.workload
    matching = catalogue.holds.for_workload(cluster, workload.namespace, workload.name)
    if not matching and request.adopted_in is None:
        return list(wanted)
    return [_with_holds(each, matching, catalogue) for each in wanted]


def _with_holds(asked: AddressRequest, matching: Sequence[Hold], catalogue: Catalogue) -> AddressRequest:
    if asked.reservation is not None or asked.owned is not None or asked.prefix_length is not None:
        return asked
    names = [pool.name for pool in asked.pools]
    if asked.adopted:
        return structs.replace(asked, holds=tuple(catalogue.holds.of_pool(names[0])))
    return structs.replace(asked, holds=tuple(hold for hold in matching if hold.pool in names))


def leaving(wanted: Sequence[AddressRequest], left: LeftToOthers) -> list[AddressRequest]:
    """What is asked for, without what is left to others. Raises NothingFree if nothing is left to try."""
    return [_leaving(each, left) for each in wanted]


def _leaving(asked: AddressRequest, left: LeftToOthers) -> AddressRequest:
    if asked.reservation is not None or asked.owned is not None:
        return asked  # nobody else waits for it
    holds = tuple(hold for hold in asked.holds if hold.name not in left.holds)
    held_only = frozenset(left.pools) & {hold.pool for hold in holds}
    pools = tuple(each for each in asked.pools if each.name not in left.pools or each.name in held_only)
    if not pools:
        raise asked.nothing_free
    return structs.replace(asked, pools=pools, holds=holds, held_only=held_only)


def beside_holds(asked: AddressRequest) -> AddressRequest:
    """What may be had out of pools themselves, if holds have nothing. Raises NothingFree if there is none."""
    if not asked.held_only:
        return asked
    pools = tuple(pool for pool in asked.pools if pool.name not in asked.held_only)
    if not pools:
        raise asked.nothing_free
    return structs.replace(asked, pools=pools)


def wanted_by(name: str, catalogue: Catalogue) -> list[AddressRequest]:
    """What fills a hold. Raises NotFound if there is none to fill."""
    hold = catalogue.snapshot.holds.get(name)
    pool = catalogue.pools.get(hold.pool) if hold is not None else None
    if hold is None or pool is None or hold.state is not HoldState.FILLING:
        raise NotFound("hold", name)
    return [AddressRequest((pool,))] * hold.size


class BatchHolds:
    """What a batch knows of holds' addresses. What it must know first is noted, to be read once."""

    def __init__(self, catalogue: Catalogue, blocks: BatchBlocks, changes: Changes, clock: Reading) -> None:
        self._catalogue = catalogue
        self._blocks = blocks
        self._changes = changes
        self._clock = clock
        self._limits: dict[str, int] = {}
        self._certain: dict[tuple[str, int], None] = {}
        self._rows: dict[str, dict[int, Allocation]] = {}
        self._missed: set[tuple[str, int | None]] = set()
        """The holds, and the positions of them, of which others have locked some: None of a search."""

    def expect(self, wanted: Sequence[AddressRequest]) -> bool:
        """Note what a call may take out of holds. Returns whether anything must be read for it."""
        for asked in wanted:
            for hold in asked.holds:
                if asked.former is not None and asked.former.pool == hold.pool:
                    self._certain[hold.name, position_of(asked.former.address)] = None
                if asked.place is not None:
                    self._certain[hold.name, position_of(asked.place.first)] = None
                else:
                    self._limits[hold.name] = self._limits.get(hold.name, 0) + 1
        return any(asked.holds for asked in wanted)

    def searches(self) -> list[Search]:
        """What was noted."""
        certain: list[Search] = [
            HoldPosition(self._hold(name).owner.digest, position) for name, position in sorted(self._certain)
        ]
        return certain + [
            HoldSearch(
                self._hold(name).owner.digest,
                self._cooled(self._catalogue.pools[self._hold(name).pool]),
                limit,
            )
            for name, limit in sorted(self._limits.items())
        ]

    def receive(self, found: Sequence[LockedRows]) -> None:
        """Take in what those searches found."""
        asked: list[tuple[str, int | None]] = [
            *sorted(self._certain),
            *((name, None) for name in sorted(self._limits)),
        ]
        for (name, position), locked in zip(asked, found, strict=True):
            rows = self._rows.setdefault(name, {})
            rows.update((row.position, row) for row in locked.rows)
            if locked.passed_over:
                self._missed.add((name, position))

    def take(self, asked: AddressRequest) -> PickedAddress | NotYet | None:
        """Pick an address out of the holds that are for a request. None if they have none for it."""
        holds = [(hold, pool) for hold in asked.holds for pool in asked.pools if pool.name == hold.pool]
        giving = [each for each in holds if asked.adopted or each[1].state is not PoolState.DRAINING]
        for hold, pool in giving:
            picked = self._take_certain(hold, pool, asked)
            if picked is not None:
                return picked
        for hold, pool in giving if asked.place is None else ():
            picked = self._take_first(hold, pool)
            if picked is not None:
                return picked
        return None

    def untake(self, picked: PickedAddress) -> None:
        """Put back what a call does not get in this round."""
        row = picked.held
        if row is not None and row.hold is not None:
            self._rows[row.hold][row.position] = row

    def begin_filling(self, begun: Allocation, picked: PickedAddress, hold: str) -> None:
        """Begin the time of a hold with an address that was picked for it."""
        self._changes.begun.append(
            structs.replace(
                begun,
                position=position_of(begun.address),
                free_since=self._blocks.free_before(picked),
                hold=hold,
                borrowed=False,
            )
        )

    def end(self, row: Allocation) -> None:
        """End the time of a hold with an address that a workload takes."""
        self._changes.end(row, Ended(row.stored_id, self._clock.now, Ending.TAKEN))

    def of(self, row: Allocation) -> Hold | None:
        """The hold to which an address goes back, if that stands. Then its block stays as it is."""
        hold = self._catalogue.snapshot.holds.get(row.hold) if row.hold is not None else None
        return hold if hold is not None and hold.state is HoldState.STANDING else None

    def free(self, row: Allocation, until: Instant) -> None:
        """Give an address back whose time has ended: to its hold, else to its block."""
        hold = self.of(row)
        if hold is None:
            self._blocks.give_back(row)
            return
        self._missed.add((hold.name, None))  # the next batch finds it there
        self._missed.add((hold.name, position_of(row.address)))
        self._changes.begun.append(
            structs.replace(
                row,
                id=None,
                holder=hold.owner,
                digest=hold.owner.digest,
                position=position_of(row.address),
                workload=Workload(),
                boot=None,
                netns=None,
                since=until,
                generation=1,
                taken=NO_CALL,
                repeated=NO_CALL,
                idempotency=None,
                begun_by=None,
                borrowed=False,
                free_since=until,
                away_since=None,
            )
        )

    def _take_certain(self, hold: Hold, pool: Pool, asked: AddressRequest) -> PickedAddress | NotYet | None:
        """Pick the address that is asked for, or that the workload had. Raises AddressUnavailable."""
        position = _certain(asked, pool)
        if position is None:
            return None
        row = self._rows.get(hold.name, {}).get(position)
        if row is None:
            return NotYet.CONTENDED if (hold.name, position) in self._missed else None
        own = asked.former is not None and asked.former.freed == row.free_since
        if asked.place is None:
            return self._pick(row, pool) if own else None
        cooling = row.free_since is not None and row.free_since > self._cooled(pool)
        if pool.sticky and cooling and not own and not asked.adopted:
            until = self._clock.lasts_until(row.free_since or 0, pool.cooldown * SECOND)
            raise kept(row.address, pool, until)
        return self._pick(row, pool)

    def _take_first(self, hold: Hold, pool: Pool) -> PickedAddress | NotYet | None:
        """Pick the first address that has cooled down."""
        rows, cooled = self._rows.get(hold.name, {}), self._cooled(pool)
        ready = (at for at, row in rows.items() if row.free_since is not None and row.free_since <= cooled)
        position = min(ready, default=None)
        if position is None:
            return NotYet.CONTENDED if (hold.name, None) in self._missed else None
        return self._pick(rows[position], pool)

    def _pick(self, row: Allocation, pool: Pool) -> PickedAddress | NotYet:
        if pool.affinity is Affinity.NODE:  # whose block it is decides how it is announced
            lacking = self._blocks.lacks(pool.name, row.block)
            if lacking is not None:
                return lacking
        del self._rows[row.hold or ""][row.position]
        return PickedAddress(pool, row.block, row.address, held=row)

    def _hold(self, name: str) -> Hold:
        return self._catalogue.snapshot.holds[name]

    def _cooled(self, pool: Pool) -> Instant:
        return self._clock.past(pool.cooldown * SECOND)


def _certain(asked: AddressRequest, pool: Pool) -> int | None:
    """The position of the one address that a request asks for, or that its workload had; None if neither."""
    if asked.place is not None:
        return position_of(asked.place.first)
    former = asked.former
    its_own = former is not None and former.pool == pool.name and pool.sticky
    return position_of(former.address) if former is not None and its_own else None
