"""What becomes of a batch: decided in memory, from what a transaction found, with no I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from ipamd.backends.interface import (
    BlockSearch,
    Changes,
    Ended,
    Found,
    HeldAddress,
    Locked,
    RememberedRelease,
    SetBack,
    Tallied,
)
from ipamd.engine.allocation import call_order
from ipamd.engine.allocation.block_search import BatchBlocks, NotYet, PickedAddress
from ipamd.engine.allocation.call import (
    AllocateCall,
    Call,
    Contended,
    NeedsBlock,
    NeedsBlocks,
    ReleaseCall,
    ReportCall,
    Verdict,
)
from ipamd.engine.allocation.draining import refuse_draining
from ipamd.engine.allocation.former_addresses import former_of, with_former, workload_that_asks
from ipamd.engine.allocation.owned_addresses import OwnedAddresses, with_owned
from ipamd.engine.allocation.reports import NO_LEASES, Leased, Reports, locked_for
from ipamd.engine.allocation.seat_changes import SeatChanges
from ipamd.engine.allocation.selection import AddressRequest, select
from ipamd.engine.allocation.tallies import BatchTallies
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation, Ending, SeatPosition
from ipamd.models.errors import (
    AddressUnavailable,
    DomainError,
    LeaseOver,
    NothingFree,
    Overtaken,
    OwnerHeld,
    SeatLeased,
    Unavailable,
)
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest, Owner
from ipamd.models.issued import REMEMBERED_FOR
from ipamd.models.lease import Seat, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Grant, Granted, Refused, Released
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Affinity
from ipamd.models.request import Release

RESTORING: Final = (
    "and not all nodes have said yet what lives on them: nothing is given to anybody new until then, or an "
    "admin says `ipamctl restore finish` (`ipamctl restore status` tells who is waited for)"
)


class Plan:
    """One batch on its way to verdicts.

    Calls that need no block are decided at once. The others are tried in their order, again after each
    search, until each has a verdict: releases first, since what they free may serve the rest.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        found: Found,
        catalogue: Catalogue,
        carved_out: Set[str],
        clock: Reading,
        leased: Leased = NO_LEASES,
    ) -> None:
        self._found = found
        self._leases, self._pinned = leased.leases, leased.pinned
        self._catalogue = catalogue
        self._now = clock.now
        self._blocks = BatchBlocks(catalogue, carved_out, clock)
        self._changes = Changes()
        self._announced: set[Announced] = set()
        self._nearly_full: set[NeedsBlock] = set()
        self._verdicts: list[Verdict | None] = [None] * len(calls)
        self._tallies = BatchTallies(catalogue.quotas)
        self._seats = SeatChanges(self._blocks, self._tallies, self._changes, clock.now)
        self._owned = OwnedAddresses(self._blocks, self._tallies, self._changes, clock.now)
        self._reports = Reports(leased, found, self._blocks, self._changes, self._seats, clock.now)
        self._releases: dict[int, tuple[ReleaseCall, list[Allocation], int]] = {}
        self._of_owners: set[int] = set()
        self._allocations: dict[int, tuple[AllocateCall, list[AddressRequest]]] = {}
        self._workloads: dict[int, Digest] = {}
        self._former: dict[tuple[Digest, int], FormerAddress] = {}
        for at, call in enumerate(calls):
            if found.busy and _is_busy(call, found):
                self._verdicts[at] = Contended()
            elif isinstance(call, ReportCall):
                self._verdicts[at] = self._reports.begin(at, call)
                self._tallies.expect_events(at, self._reports.touched(at))
            elif isinstance(call, ReleaseCall):
                self._begin_release(at, call)
            else:
                self._begin_allocate(at, call)
        if not self._tallies.are_needed:
            self._advance()

    @property
    def tallies(self) -> BatchTallies:
        """What must be known of quotas before anything goes on, if any of it is needed."""
        return self._tallies

    def count(self, found: Tallied) -> None:
        """Take in what tallies count, and go on."""
        for at in self._tallies.receive(found):
            for waiting in (self._releases, self._allocations, self._workloads):
                waiting.pop(at, None)
            self._reports.leave(at)
            self._verdicts[at] = Contended()
        self._advance()

    def workloads(self) -> Set[Digest]:
        """The workloads of which must be known what they had in sticky pools, before their calls go on."""
        return set(self._workloads.values())

    def remember(self, former: Mapping[Digest, Sequence[FormerAddress]]) -> None:
        """Take in what those workloads had, and go on."""
        for at, workload in self._workloads.items():
            call, wanted = self._allocations[at]
            self._allocations[at] = call, with_former(wanted, former.get(workload, ()))
        self._workloads.clear()
        self._advance()

    def searches(self) -> list[BlockSearch]:
        """The blocks that undecided calls still need; none when every call has its verdict."""
        return self._blocks.searches()

    def receive(self, searches: Sequence[BlockSearch], locked: Sequence[Locked]) -> None:
        """Take in what the searches found, and go on."""
        self._blocks.receive(searches, locked)
        self._advance()

    def unread(self) -> list[HeldAddress]:
        """The addresses of owners whose holders undecided calls must know, before the next search."""
        return self._owned.unread()

    def receive_owned(self, addresses: Sequence[HeldAddress], rows: Sequence[Allocation]) -> None:
        """Take in who has these addresses, and go on."""
        self._owned.receive(addresses, rows)
        self._advance()

    def changes(self) -> Changes:
        """All that the verdicts make necessary to write."""
        self._owned.write()
        self._changes.blocks = self._blocks.changed()
        for pool, node in self._blocks.handed_over():
            self._announce(pool, node)
        self._changes.announced = frozenset(self._announced)
        self._changes.former = list(self._former.values())
        self._changes.tallies = self._tallies.changes()
        return self._changes

    def nearly_full(self) -> frozenset[NeedsBlock]:
        """The blocks that nodes will lack soon, where a block is to be announced before it is needed."""
        return frozenset(self._nearly_full)

    def _announce_holders(self, row: Allocation) -> None:
        """Announce an owner's address: of those who hold it now, the youngest has it."""
        for other in self._owned.holders(row):
            self._announce(row.pool, other.announced_for)

    def _announce(self, pool: str, node: NodeKey | None) -> None:
        if node is not None and self._catalogue.announces(pool, node.cluster):
            self._announced.add(Announced(node.cluster, AnnouncedKind.NODE, node.name))

    def verdicts(self) -> list[Verdict]:
        """One for each call, in their order."""
        return [verdict for verdict in self._verdicts if verdict is not None]

    def _begin_release(self, at: int, call: ReleaseCall) -> None:
        release = call.release
        if release.seat is not None and self._is_over(release.seat.node, release.epoch):
            self._verdicts[at] = Refused(LeaseOver(release.seat.node.name))
            return
        held = self._held_by(call.digest)
        meant = held if release.allocation is None else _meant(release, held)
        ending = [row for row in meant if call_order.frees(call.order, release.undo, row)]
        leased = [row for row in ending if row.is_free_seat] if release.seat is None else None
        if leased:
            self._verdicts[at] = Refused(SeatLeased(leased[0].address, leased[0].held_by))
            return
        self._releases[at] = call, ending, len(meant) - len(ending)
        if any(row.slot or row.is_of_owner for row in ending):
            self._of_owners.add(at)
        self._tallies.expect_rows(at, ending)

    def _begin_allocate(self, at: int, call: AllocateCall) -> None:
        held = self._held_by(call.digest)
        try:
            releases = self._found.releases.get(call.digest)
            if releases and call_order.overtaken(call.order, releases, self._now):
                raise Overtaken
            leased = call.request.seat
            if leased is not None and self._is_over(leased.seat.node, leased.epoch):
                raise LeaseOver(leased.seat.node.name)
            if held and call.request.for_owner != call.request.holder:
                self._verdicts[at] = self._repeat(call, held)
                return
            restoration = self._catalogue.snapshot.restoration
            if restoration.began is not None and call.request.adopted_in is None:
                older = (
                    "was put back" if restoration.cause is None else f"is an older one ({restoration.cause})"
                )
                raise Unavailable(f"the database {older}, {RESTORING}")
            if self._catalogue.draining:
                refuse_draining(call.request, self._catalogue)
            wanted = select(call.request, self._catalogue)
            if not wanted:
                raise NothingFree(())
            owner = call.request.for_owner
            if owner is not None:
                wanted = with_owned(wanted, self._held_by(owner.digest))
            self._allocations[at] = call, wanted
            self._tallies.expect_request(at, call.request, wanted)
            if owner is None and self._catalogue.has_sticky_pools:
                workload = workload_that_asks(call.request, wanted)
                if workload is not None:
                    self._workloads[at] = workload
        except DomainError as error:
            self._verdicts[at] = Refused(error)

    def _is_over(self, node: NodeKey, epoch: int | None) -> bool:
        """Whether an epoch of a node's lease is over."""
        lease = self._leases.get(node)
        return lease is None or lease.epoch != epoch

    def _held_by(self, digest: Digest) -> Sequence[Allocation]:
        held = self._found.held.get(digest, ())
        if held and any(row.pool not in self._catalogue.pools for row in held):
            raise StaleCatalogue
        return held

    def _repeat(self, call: AllocateCall, held: Sequence[Allocation]) -> Granted:
        """The same answer as before; written anew, so that a commit of its own stands behind it."""
        addresses = [row.address for row in held]
        others = [address for address in call.request.requested if address not in addresses]
        if others:
            holds = " and ".join(map(str, addresses))
            raise AddressUnavailable(others[0], f"this holder has {holds}: release it first")
        if call.request.seat is None and any(row.seat is not None for row in held):
            raise Unavailable(
                "the container has an address of its node's lease, and its node has not yet told of its end: "
                "try again"
            )
        issued, netns = call.request.issued, call.request.netns
        boot = issued.boot if issued is not None else None
        self._changes.repeated += [call_order.repeat(row, call.order, boot, netns) for row in held]
        pools = self._catalogue.pools
        return Granted(tuple(Grant(row.address, pools[row.pool]) for row in held), repeated=True)

    def _advance(self) -> None:
        """Try every call that has no verdict."""
        for at, (release, rows, spared) in list(self._releases.items()):
            self._try_release(at, release, rows, spared)
        for at, verdict in self._reports.advance():
            self._verdicts[at] = verdict
        for at, (ask, wanted) in list(self._allocations.items()):
            if at not in self._workloads:
                self._try_allocate(at, ask, wanted)

    def _try_release(self, at: int, call: ReleaseCall, rows: list[Allocation], spared: int) -> None:
        of_owners = at in self._of_owners
        if of_owners:
            lacking = {self._owned.lacks(row) for row in rows}
        else:
            lacking = {self._blocks.lacks(row.pool, row.block) for row in rows}
        if NotYet.CONTENDED in lacking:
            self._verdicts[at] = Contended()
        elif NotYet.SEARCHING in lacking:
            return
        else:
            try:
                if of_owners:
                    rows, spared = self._checked(call, rows, spared)
                self._release(call, rows)
                self._verdicts[at] = Released(tuple(row.address for row in rows), spared)
            except OwnerHeld as held:
                self._verdicts[at] = Refused(held)
        del self._releases[at]

    def _checked(
        self, call: ReleaseCall, rows: list[Allocation], spared: int
    ) -> tuple[list[Allocation], int]:
        """Which of owners' addresses a release ends, and how many it spares. Raises OwnerHeld."""
        away_since = call.release.away_since
        if away_since is not None:
            ending = [row for row in rows if row.is_of_owner and self._owned.is_away(row, away_since)]
            rows, spared = ending, spared + len(rows) - len(ending)
        self._owned.check_unheld(rows)
        return rows, spared

    def _release(self, call: ReleaseCall, rows: list[Allocation]) -> None:
        ending = Ending.UNDONE if call.release.undo else call.release.ending
        if call.release.seat is not None:
            self._return(call.release.seat, rows)
            return
        for row in rows:
            ended = Ended(row.stored_id, self._now, ending, call.release.by, call.release.reason)
            if row.seat is not None:
                self._seats.end(row, ended)
            elif row.slot:
                self._owned.end(row, ended, self._catalogue.pools.get(row.pool))
                self._announce_holders(row)
            elif row.is_of_owner:
                self._owned.end_owner(row, ended)
            else:
                self._blocks.give_back(row.pool, row.block, int(row.address))
                self._changes.ended.append(ended)
                self._tallies.end(row)
                self._remember_former(row)
            self._announce(row.pool, row.announced_for)
            if row.since > self._now:  # nothing ends before it began, though a clock was ahead then
                self._changes.set_back.append(SetBack(row.stored_id, self._now, self._now))
        if call.remember is not None:
            until = self._now + REMEMBERED_FOR
            self._changes.remembered.append(
                RememberedRelease(call.digest, call.remember, call.release.undo, until)
            )

    def _remember_former(self, row: Allocation) -> None:
        former = former_of(row, self._catalogue.pools.get(row.pool), self._now)
        if former is not None:
            key = former.workload, former.position
            self._former[key] = max(self._former.get(key, former), former, key=lambda one: one.since)

    def _return(self, seat: SeatKey, rows: list[Allocation]) -> None:
        """Take a seat back, unless a container has any of its addresses."""
        if not self._pinned.get(seat):
            self._changes.returned.append(seat)
            for row in rows:
                self._seats.give_back(row)

    def _try_allocate(self, at: int, call: AllocateCall, wanted: list[AddressRequest]) -> None:
        taken: list[PickedAddress] = []
        lacking: list[NotYet | NeedsBlock] = []
        verdict: Verdict | None = None
        try:
            for each in wanted:
                if each.owned is None:
                    found = self._blocks.take(self._tallies.allowed(at, each), call.node)
                else:
                    found = self._take_owned(each.owned, call)
                if isinstance(found, PickedAddress):
                    taken.append(found)
                    if found.owned is None:
                        self._tallies.take(at, found.pool, adopted=each.adopted)
                    if call.lease is not None and self._blocks.is_borrowed(found, call.node):
                        raise NothingFree((found.pool.name,))  # announced with its container: too late
                else:
                    lacking.append(found)
        except DomainError as error:
            verdict = Refused(error)
        if verdict is None and not lacking:
            verdict = self._grant(call, taken)
        else:
            for picked in reversed(taken):
                if picked.owned is None:
                    self._blocks.untake(picked)
                    self._tallies.untake(at, picked.pool)
            verdict = verdict or _undecided(lacking)
        if verdict is not None:
            del self._allocations[at]
            self._verdicts[at] = verdict

    def _take_owned(self, owned: Allocation, call: AllocateCall) -> PickedAddress | NotYet:
        return self._owned.take(owned, call.request.holder, self._catalogue.pools[owned.pool], call.node)

    def _grant(self, call: AllocateCall, taken: list[PickedAddress]) -> Granted:
        request = call.request
        boot = request.issued.boot if request.issued is not None else None
        wanted = request.seat
        if wanted is not None:
            self._changes.seats.append(
                Seat(
                    node=wanted.seat.node,
                    number=wanted.seat.number,
                    key=wanted.key,
                    configuration=wanted.configuration,
                    network=wanted.network,
                )
            )
        for position, picked in enumerate(taken):
            pool, block, address, owned = picked
            begun = Allocation(
                id=None,
                space=pool.space,
                address=address,
                pool=pool.name,
                block=block,
                holder=request.holder,
                digest=call.digest,
                position=position,
                workload=request.workload,
                boot=boot,
                netns=request.netns,
                since=self._now,
                until=None,
                ending=None,
                generation=1,
                taken=call.order,
                repeated=call.order,
                idempotency=request.idempotency,
                begun_by=request.by,
                borrowed=request.owner is None and self._blocks.is_borrowed(picked, call.node),
                seat=SeatPosition(wanted.seat.number, position) if wanted is not None else None,
                free_since=self._blocks.lease(picked) if wanted is not None else None,
            )
            if request.for_owner is None:
                self._changes.begun.append(begun)
            else:
                self._begin_for(request.for_owner, begun, owned)
            self._announce(pool.name, begun.announced_for)
            if owned is None and self._is_running_short(picked, call.node):
                self._nearly_full.add(NeedsBlock(pool.name, call.node))
        repeated = request.for_owner == request.holder and all(picked.owned for picked in taken)
        return Granted(tuple(Grant(picked.address, picked.pool) for picked in taken), repeated)

    def _begin_for(self, owner: Owner, begun: Allocation, owned: Allocation | None) -> None:
        """Begin a time with an address of an owner, `owned` if the owner had it before."""
        if owned is None:
            self._owned.begin_owner(owner, begun, self._held_by(owner.digest))
        elif begun.holder != owner:
            self._announce_holders(owned)
            self._owned.begin_holder(owner, begun)

    def _is_running_short(self, picked: PickedAddress, node: NodeKey | None) -> bool:
        """Whether a node should have its next block before it has used up this one."""
        return (
            node is not None
            and picked.pool.affinity is Affinity.NODE
            and self._catalogue.announces(picked.pool.name, node.cluster)
            and self._blocks.is_nearly_full(picked)
        )


def _meant(release: Release, held: Sequence[Allocation]) -> list[Allocation]:
    """The row that a release names; if it is of a seat, all of that seat: it is free, or one container's."""
    named = [
        row for row in held if row.id == release.allocation and release.generation in (None, row.generation)
    ]
    seats = {row.seat.number for row in named if row.seat is not None}
    return [row for row in held if row in named or (row.seat is not None and row.seat.number in seats)]


def _is_busy(call: Call, found: Found) -> bool:
    """Whether another transaction holds what a call needs."""
    return any(digest in found.busy for digest in locked_for(call))


def _undecided(lacking: Sequence[NotYet | NeedsBlock]) -> Contended | NeedsBlocks | None:
    """What is to be done for an allocate call that lacks something; None if the next search may find it."""
    if NotYet.CONTENDED in lacking:
        return Contended()
    blocks = tuple(each for each in lacking if isinstance(each, NeedsBlock))
    return NeedsBlocks(blocks) if len(blocks) == len(lacking) else None
