"""What becomes of the requests for addresses of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from msgspec import structs

from ipamd.backends.interface import HoldPosition, HoldSearch, LockedRows
from ipamd.engine.allocation import call_order
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch import Batch
from ipamd.engine.allocation.call import AllocateCall, Contended, NeedsBlock, NeedsBlocks, Verdict
from ipamd.engine.allocation.draining import refuse_draining
from ipamd.engine.allocation.former_addresses import with_former, workload_that_asks
from ipamd.engine.allocation.holds import beside_holds, leaving, wanted_by, with_holds
from ipamd.engine.allocation.owned_addresses import with_owned
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.allocation.selection import select
from ipamd.models.allocation import Allocation, SeatPosition
from ipamd.models.errors import (
    AddressUnavailable,
    DomainError,
    LeaseOver,
    NothingFree,
    Overtaken,
    Unavailable,
)
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest, Identity, Owner
from ipamd.models.lease import Seat
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Grant, Granted, Refused
from ipamd.models.pool import Affinity
from ipamd.models.request import AllocationRequest, SeatRequest

RESTORING: Final = (
    "and not all nodes have said yet what lives on them: nothing is given to anybody new until then, or an "
    "admin says `ipamctl restore finish` (`ipamctl restore status` tells who is waited for)"
)


class Allocations:
    """The requests for addresses of a batch that wait for blocks to take them from."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: dict[int, tuple[AllocateCall, list[AddressRequest]]] = {}
        self._workloads: dict[int, Digest] = {}
        self._holding: set[int] = set()
        self._nearly_full: set[NeedsBlock] = set()

    def begin(self, at: int, call: AllocateCall) -> Verdict | None:
        """Decide a request that is refused or asked again; None if it waits for blocks."""
        batch, request = self._batch, call.request
        held = batch.held_by(call.digest)
        try:
            releases = batch.found.releases.get(call.digest)
            if releases and call_order.overtaken(call.order, releases, batch.now):
                raise Overtaken
            leased = request.seat
            if leased is not None and batch.is_over(leased.seat.node, leased.epoch):
                raise LeaseOver(leased.seat.node.name)
            if held and request.for_owner != request.holder:
                return self._repeat(call, held)
            if batch.catalogue.snapshot.restoration.began is not None:
                self._refuse_while_restoring(call)
            wanted = self._wanted_by(request)
            if batch.catalogue.has_holds and any(asked.holds for asked in wanted):
                self._holding.add(at)
            self._waiting[at] = call, wanted
            if batch.catalogue.has_quotas:
                batch.tallies.expect_request(at, request, wanted)
            if request.for_owner is None and batch.catalogue.has_sticky_pools:
                workload = workload_that_asks(request, wanted)
                if workload is not None:
                    self._workloads[at] = workload
        except DomainError as error:
            return Refused(error)
        return None

    def workloads(self) -> Set[Digest]:
        """The workloads of which must be known what they had in sticky pools, before their calls go on."""
        return set(self._workloads.values())

    def remember(self, former: Mapping[Digest, Sequence[FormerAddress]]) -> None:
        """Take in what those workloads had."""
        for at, workload in self._workloads.items():
            call, wanted = self._waiting[at]
            self._waiting[at] = call, with_former(wanted, former.get(workload, ()))
        self._workloads.clear()

    def hold_searches(self) -> list[HoldSearch | HoldPosition]:
        """The addresses of holds that must be known before their calls go on."""
        for at in self._holding:
            self._batch.holds.expect(self._waiting[at][1])
        return self._batch.holds.searches() if self._holding else []

    def receive_holds(self, found: Sequence[LockedRows]) -> None:
        """Take in what holds have."""
        self._batch.holds.receive(found)
        self._holding.clear()

    def leave(self, at: int) -> None:
        """Give a call nothing, if it is a request for addresses: it is contended."""
        self._waiting.pop(at, None)
        self._workloads.pop(at, None)
        self._holding.discard(at)

    def advance(self) -> Sequence[tuple[int, Verdict]]:
        """Decide those requests whose blocks are at hand, or cannot be had."""
        decided = []
        for at, (call, wanted) in self._waiting.items():
            if at not in self._workloads and at not in self._holding:
                verdict = self._try(at, call, wanted)
                if verdict is not None:
                    decided.append((at, verdict))
        for at, _ in decided:
            del self._waiting[at]
        return decided

    def nearly_full(self) -> frozenset[NeedsBlock]:
        """The blocks that nodes will lack soon, where a block is to be announced before it is needed."""
        return frozenset(self._nearly_full)

    def _wanted_by(self, request: AllocationRequest) -> list[AddressRequest]:
        """What a request asks for. Raises what `select` raises, NodeDraining, NothingFree."""
        batch = self._batch
        if batch.catalogue.draining:
            refuse_draining(request, batch.catalogue)
        if request.hold is not None:
            return wanted_by(request.hold, batch.catalogue)
        wanted = select(request, batch.catalogue)
        if not wanted:
            raise NothingFree(())
        if request.for_owner is not None:
            wanted = with_owned(wanted, batch.held_by(request.for_owner.digest))
        if batch.catalogue.has_holds:
            wanted = with_holds(wanted, request, batch.catalogue)
        return wanted if request.left is None else leaving(wanted, request.left)

    def _refuse_while_restoring(self, call: AllocateCall) -> None:
        restoration = self._batch.catalogue.snapshot.restoration
        if call.request.adopted_in is None:
            older = "was put back" if restoration.cause is None else f"is an older one ({restoration.cause})"
            raise Unavailable(f"the database {older}, {RESTORING}")

    def _repeat(self, call: AllocateCall, held: Sequence[Allocation]) -> Granted:
        """The same answer as before; written anew, so that a commit of its own stands behind it."""
        addresses = [row.address for row in held if row.prefix_length is None]
        others = [address for address in call.request.requested if address not in addresses]
        if others:
            holds = " and ".join(row.written for row in held)
            raise AddressUnavailable(others[0], f"this holder has {holds}: release it first")
        if call.request.seat is None and any(row.seat is not None for row in held):
            raise Unavailable(
                "the container has an address of its node's lease, and its node has not yet told of its end: "
                "try again"
            )
        issued, netns = call.request.issued, call.request.netns
        boot = issued.boot if issued is not None else None
        self._batch.changes.repeated += [call_order.repeat(row, call.order, boot, netns) for row in held]
        pools = self._batch.catalogue.pools
        grants = (Grant(row.address, pools[row.pool], row.prefix_length) for row in held)
        return Granted(tuple(grants), repeated=True)

    def _try(self, at: int, call: AllocateCall, wanted: list[AddressRequest]) -> Verdict | None:
        blocks, tallies = self._batch.blocks, self._batch.tallies
        limited = tallies.limits(at)
        taken: list[PickedAddress] = []
        lacking: list[NotYet | NeedsBlock] = []
        verdict: Verdict | None = None
        mark = blocks.hand_overs
        try:
            for each in wanted:
                counted = limited and each.owned is None
                found = self._take(tallies.allowed(at, each) if counted else each, call)
                if isinstance(found, PickedAddress):
                    taken.append(found)
                    if counted:
                        tallies.take(at, found.pool, each.prefix_length, adopted=each.adopted)
                    if call.lease is not None and blocks.is_borrowed(found, call.node):
                        raise NothingFree((found.pool.name,))  # announced with its container: too late
                else:
                    lacking.append(found)
        except DomainError as error:
            verdict = Refused(error)
        if verdict is None and not lacking:
            return self._grant(call, taken)
        blocks.take_back(mark)
        for picked in reversed(taken):
            if picked.owned is None:
                self._untake(picked)
                if limited:
                    tallies.untake(at, picked.pool, picked.prefix_length)
        return verdict or _undecided(lacking)

    def _take(self, asked: AddressRequest, call: AllocateCall) -> PickedAddress | NotYet | NeedsBlock:
        """Pick an address: the owner's, what the workload had, out of a hold, else any other."""
        addresses = self._batch.addresses
        if asked.owned is not None:
            return self._take_owned(asked.owned, call)
        if asked.prefix_length is not None:
            return self._batch.prefixes.take(asked, asked.prefix_length, call.node)
        if not asked.holds:
            return addresses.take(asked, call.node)
        found = addresses.take_again(asked, call.node) or self._batch.holds.take(asked)
        return found or addresses.take(beside_holds(asked), call.node)

    def _untake(self, picked: PickedAddress) -> None:
        if picked.held is None:
            self._batch.blocks.untake(picked)
        else:
            self._batch.holds.untake(picked)

    def _take_owned(self, owned: Allocation, call: AllocateCall) -> PickedAddress | NotYet:
        pool = self._batch.catalogue.pools[owned.pool]
        return self._batch.owned.take(owned, call.request.holder, pool, call.node)

    def _grant(self, call: AllocateCall, taken: Sequence[PickedAddress]) -> Granted:
        """Give a holder what was picked for it."""
        request = call.request
        if request.seat is not None:
            self._batch.changes.seats.append(_seat(request.seat))
        grants = []
        for position, picked in enumerate(taken):
            self._begin_time(call, position, picked)
            grants.append(Grant(picked.address, picked.pool, picked.prefix_length))
        repeated = request.for_owner == request.holder and all(picked.owned for picked in taken)
        return Granted(tuple(grants), repeated)

    def _begin_time(self, call: AllocateCall, position: int, picked: PickedAddress) -> None:
        """Begin the holder's time with an address, and announce it where it is to be announced."""
        batch, request, held = self._batch, call.request, picked.held
        begun = self._begun(call, position, picked)
        if held is not None:
            batch.holds.end(held)
            begun = structs.replace(begun, hold=held.hold)
        if request.hold is not None:
            batch.holds.begin_filling(begun, picked, request.hold)
        elif request.for_owner is None:
            batch.changes.begun.append(begun)
        else:
            self._begin_for(request.for_owner, begun, picked.owned)
        if begun.borrowed or not isinstance(request.holder, Identity):
            batch.announce(begun.pool, begun.announced_for)
        is_new = picked.owned is None and held is None
        if is_new and picked.pool.affinity is Affinity.NODE and self._is_running_short(picked, call.node):
            self._nearly_full.add(NeedsBlock(begun.pool, call.node))

    def _begun(self, call: AllocateCall, position: int, picked: PickedAddress) -> Allocation:
        batch, request, pool = self._batch, call.request, picked.pool
        seat = request.seat
        of_node = pool.affinity is Affinity.NODE
        return Allocation(
            id=None,
            space=pool.space,
            address=picked.address,
            pool=pool.name,
            block=picked.block,
            holder=request.holder,
            digest=call.digest,
            position=position,
            workload=request.workload,
            boot=request.issued.boot if request.issued is not None else None,
            netns=request.netns,
            since=batch.now,
            until=None,
            ending=None,
            generation=1,
            taken=call.order,
            repeated=call.order,
            idempotency=request.idempotency,
            begun_by=request.by,
            borrowed=of_node and request.owner is None and batch.blocks.is_borrowed(picked, call.node),
            seat=SeatPosition(seat.seat.number, position) if seat is not None else None,
            free_since=batch.blocks.lease(picked) if seat is not None else None,
            prefix_length=picked.prefix_length,
        )

    def _begin_for(self, owner: Owner, begun: Allocation, owned: Allocation | None) -> None:
        """Begin a time with an address of an owner, `owned` if the owner had it before."""
        batch = self._batch
        if owned is None:
            batch.owned.begin_owner(owner, begun, batch.held_by(owner.digest))
        elif begun.holder != owner:
            batch.announce_holders(owned)
            batch.owned.begin_holder(owner, begun)
        else:
            batch.owned.tell_owner(owned)

    def _is_running_short(self, picked: PickedAddress, node: NodeKey | None) -> bool:
        """Whether a node should have its next block before it has used up this one."""
        return (
            node is not None
            and self._batch.catalogue.announces(picked.pool.name, node.cluster)
            and self._batch.blocks.is_nearly_full(picked)
        )


def _seat(wanted: SeatRequest) -> Seat:
    """The seat for which a request asks."""
    return Seat(
        node=wanted.seat.node,
        number=wanted.seat.number,
        key=wanted.key,
        configuration=wanted.configuration,
        network=wanted.network,
    )


def _undecided(lacking: Sequence[NotYet | NeedsBlock]) -> Contended | NeedsBlocks | None:
    """What is to be done for an allocate call that lacks something; None if the next search may find it."""
    if NotYet.CONTENDED in lacking:
        return Contended()
    if NotYet.SEARCHING in lacking:
        return None
    return NeedsBlocks(tuple(each for each in lacking if isinstance(each, NeedsBlock)))
