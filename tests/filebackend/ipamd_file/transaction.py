"""A unit of work on allocations. Nothing else runs meanwhile, so that nothing needs a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from ipamd.backends.hold_rows import found_for
from ipamd.backends.interface import (
    BlockId,
    BlockOwner,
    BlockRecord,
    BlockSearch,
    BlocksWithFree,
    CatalogueMoved,
    Changes,
    ConstraintViolated,
    Ended,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    RememberedRelease,
    Repeated,
    SetBack,
    Tallied,
)
from ipamd.models.allocation import SLOTS, Allocation
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest, Identity
from ipamd.models.lease import Lease, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool
from ipamd.models.quota import Tally
from ipamd_file.announcing import announce
from ipamd_file.audit import record_of
from ipamd_file.store import Store, copy_of


class FileTransaction:
    """See `Transaction`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, digests: Sequence[Digest]) -> Found:
        return Found(
            held={digest: self._store.held_by(digest) for digest in digests},
            releases={digest: self._store.get("release", digest, ()) for digest in digests},
        )

    async def leases(self, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
        known = {node: self._store.get("lease", node) for node in nodes}
        return {node: lease for node, lease in known.items() if lease is not None}

    async def census(self, node: NodeKey) -> Census | None:
        known: Census | None = self._store.get("census", node)
        return known

    async def pinned(self, seats: Sequence[SeatKey]) -> Sequence[Allocation]:
        return [row for seat in seats for row in self._store.pinned(seat)]

    async def former(self, workloads: Sequence[Digest]) -> Mapping[Digest, Sequence[FormerAddress]]:
        known = self._store.values("former")
        return {workload: [one for one in known if one.workload == workload] for workload in workloads}

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        return Tallied({tally: self._store.get("tally", tally, 0) for tally in wanted})

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        return [row for each in addresses for row in self._store.of_address(each.space, each.address)]

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        return [LockedRows(found_for(each, self._store.held_by(each.digest))) for each in searches]

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        return [Locked(self._matching(search)) for search in searches]

    def _matching(self, search: BlockSearch) -> list[Block]:
        if isinstance(search, BlockId):
            block = self._store.get("block", (search.pool, search.first))
            return [] if block is None else [copy_of(block)]
        last_first = search.most_allocated is not None
        ready = [
            (block.next_free_since, -block.first if last_first else block.first, block)
            for block in self._store.blocks_of(search.pool)
            if block.next_free_since is not None
            and block.next_free_since <= search.free_before
            and block.first not in search.but_not
            and (search.most_allocated is None or block.allocated <= search.most_allocated)
            and _is_meant(block, search)
        ]
        return [block for _, _, block in sorted(ready)[: search.limit]]

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        return record_of(self._store, pool, first)

    async def revision(self) -> int:
        return self._store.revision

    async def write(self, changes: Changes) -> None:
        if changes.decided_at not in (None, self._store.revision):
            raise CatalogueMoved
        for change in changes.owners:
            changed = structs.replace(
                self._live(change.id), away_since=change.away_since, generation=change.generation
            )
            self._store.put("allocation", change.id, changed)
        for ended in changes.ended:
            self._end(ended)
        for number in changes.dropped:
            self._drop(number)
        for repeated in changes.repeated:
            self._repeat(repeated)
        for earlier in changes.set_back:
            self._set_back(earlier)
        for begun in changes.begun:
            self._begin(begun)
        for block in changes.blocks:
            write_block(self._store, block)
        for release in changes.remembered:
            self._remember(release)
        self._write_of_nodes(changes)
        self._store.change_tallies(changes.tallies)
        for one in changes.former:
            self._keep_former(one)
        announce(self._store, changes.announced)

    def _write_of_nodes(self, changes: Changes) -> None:
        for census in changes.censuses:
            self._store.put("census", census.node, census)
        for lease in changes.leases:
            self._store.put("lease", lease.node, lease)
        for seat in changes.seats:
            self._store.put("seat", SeatKey(seat.node, seat.number), seat)
        for key in changes.recalled:
            seat = self._store.get("seat", key)
            if seat is not None:
                self._store.put("seat", key, structs.replace(seat, is_recalled=True))
        for key in changes.returned:
            self._store.drop("seat", key)
        for digest, configuration in changes.configurations.items():
            self._store.put("configuration", digest, configuration)

    def _begin(self, allocation: Allocation) -> None:
        store = self._store
        address = allocation.space, allocation.address
        taken = [row.slot for row in store.of_address(*address)]
        if allocation.slot in taken or allocation.slot not in (0, *SLOTS):
            raise ConstraintViolated(f"{allocation.address} is held in space {allocation.space}")
        if allocation.prefix_length is not None and not allocation.slot and self._is_held(allocation):
            raise ConstraintViolated(f"a part of {allocation.written} is held in space {allocation.space}")
        if any(row.position == allocation.position for row in store.held_by(allocation.digest)):
            raise ConstraintViolated(f"the holder has an address at position {allocation.position}")
        if allocation.idempotency is not None:
            key = allocation.idempotency.key, allocation.position
            if store.get("key", key) is not None:
                raise ConstraintViolated("the idempotency key has been used")
        seat = _pinned_to(allocation)
        if seat is not None and any(row.seat == allocation.seat for row in store.pinned(seat)):
            raise ConstraintViolated(f"seat {seat.number} of node {seat.node.name} has a container")
        number = store.get("number", "allocation", 0) + 1
        store.put("number", "allocation", number)
        store.put("allocation", number, structs.replace(allocation, id=number))
        store.put("owner", address, (*store.get("owner", address, ()), number))
        store.put("holder", allocation.digest, (*store.get("holder", allocation.digest, ()), number))
        if allocation.idempotency is not None:
            store.put("key", key, number)
        if seat is not None:
            store.put("pinned", seat, (*store.get("pinned", seat, ()), number))

    def _is_held(self, prefix: Allocation) -> bool:
        """Whether a live allocation has an address of a prefix."""
        own = prefix.addresses
        live = (row for row in self._store.values("allocation") if row.until is None)
        return any(row.space == prefix.space and row.addresses.overlaps(own) for row in live)

    def _keep_former(self, one: FormerAddress) -> None:
        """Of a workload and position the address of whoever began last is kept."""
        key = one.workload, one.position
        known = self._store.get("former", key)
        if known is None or one.is_kept_over(known):
            self._store.put("former", key, one)

    def _end(self, ended: Ended) -> None:
        row = self._live(ended.id)
        if row.is_of_owner and row.away_since is None:
            raise ConstraintViolated(f"the owner of {row.address} is not away")
        self._vacate(row)
        self._store.put("allocation", row.id, ended.over(row))

    def _drop(self, number: int) -> None:
        row = self._live(number)
        self._vacate(row)
        self._store.drop("allocation", number)

    def _vacate(self, row: Allocation) -> None:
        seat = _pinned_to(row)
        if seat is not None:
            others = tuple(other for other in self._store.get("pinned", seat) if other != row.id)
            self._store.put("pinned", seat, others)
        left = tuple(other for other in self._store.get("holder", row.digest) if other != row.id)
        address = row.space, row.address
        beside = tuple(other for other in self._store.get("owner", address) if other != row.id)
        self._store.put("owner", address, beside)
        if left:
            self._store.put("holder", row.digest, left)
        else:
            self._store.drop("holder", row.digest)

    def _repeat(self, repeated: Repeated) -> None:
        row = self._live(repeated.id)
        again = structs.replace(
            row,
            generation=repeated.generation,
            repeated=repeated.repeated,
            boot=repeated.boot,
            netns=repeated.netns,
        )
        self._store.put("allocation", row.id, again)

    def _set_back(self, earlier: SetBack) -> None:
        row = self._store.get("allocation", earlier.id)
        if row is not None:
            self._store.put("allocation", row.id, earlier.lowered(row))

    def _live(self, number: int) -> Allocation:
        row: Allocation | None = self._store.get("allocation", number)
        if row is None or row.until is not None:
            raise ConstraintViolated(f"allocation {number} is not live")
        return row

    def _remember(self, release: RememberedRelease) -> None:
        """Of releases the last issued is kept, and beside it each undo, which means one ADD only."""
        known = self._store.get("release", release.digest, ())
        others = [each for each in known if each.undo != release.undo or _other_undo(each, release)]
        rivals = [each for each in known if each not in others]
        latest = max([*rivals, release], key=lambda each: (each.order, each.until))
        self._store.put("release", release.digest, (*others, latest))

    async def pin_catalogue(self) -> int:
        return self._store.revision

    async def cursor(self, pool: str) -> int:
        return int(self._store.get("cursor", pool, 0))

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        new = [block for block in blocks if self._store.get("block", (pool, block.first)) is None]
        for block in new:
            self._store.put("block", (pool, block.first), copy_of(block))
        if cursor is not None:
            self._store.put("cursor", pool, cursor)
        return len(new)


def write_block(store: Store, block: Block) -> None:
    """Write back a block; raises ConstraintViolated when it was never carved."""
    if store.get("block", (block.pool, block.first)) is None:
        raise ConstraintViolated(f"pool {block.pool} has no block {block.first}")
    store.put("block", (block.pool, block.first), copy_of(block))


def _pinned_to(row: Allocation) -> SeatKey | None:
    if row.seat is None or not isinstance(row.holder, Identity):
        return None
    return SeatKey(row.holder.node_key, row.seat.number)


def _is_meant(block: Block, search: BlocksWithFree) -> bool:
    match search.owner:
        case BlockOwner.ANY:
            return True
        case BlockOwner.OWN:
            return block.node == search.node
        case BlockOwner.NONE:
            return block.node is None
        case BlockOwner.OTHER_WHILE_EMPTY:
            return block.node not in (None, search.node) and block.allocated == 0


def _other_undo(one: RememberedRelease, other: RememberedRelease) -> bool:
    return one.undo and one.order != other.order
