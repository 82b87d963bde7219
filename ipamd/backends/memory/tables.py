"""The rows in memory, with the constraints that a database's schema has."""

from __future__ import annotations

import secrets
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Final
from uuid import uuid4

from msgspec import structs

from ipamd.backends.hold_rows import taken_of
from ipamd.backends.interface import (
    KEPT_ANNOUNCEMENTS,
    BlockOwner,
    BlocksWithFree,
    ConstraintViolated,
    Ended,
    OwnerChange,
    RememberedRelease,
    Repeated,
    SetBack,
)
from ipamd.backends.memory.journal import Journal, RoomEntry
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.allocation import SLOTS, Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogEntry
from ipamd.models.change_request import ChangeRequest
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey, count_seats, seat_owner
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind, NetworkPosition
from ipamd.models.quota import Quota, Tally, counted

REVISION: Final = "revision"


class Allocations:
    """The table that tells who has an address and who had it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[int, Allocation] = {}
        self.by_address: dict[tuple[str, IPAddress], dict[int, int]] = {}
        self.by_holder: dict[Digest, dict[int, int]] = {}
        self.by_key: dict[tuple[str, int], int] = {}
        self.by_seat: dict[SeatKey, dict[int, int]] = {}
        self.prefixes: dict[int, AddressRange] = {}
        self._last_id = 0

    def held_by(self, digest: Digest) -> list[Allocation]:
        """The live rows of a holder, by position."""
        positions = self.by_holder.get(digest, {})
        return [self.rows[positions[position]] for position in sorted(positions)]

    def begin(self, allocation: Allocation) -> None:
        """Add a row; its address and its holder's position must be free, its idempotency key new."""
        address, positions = (allocation.space, allocation.address), self.by_holder.get(allocation.digest, {})
        slots = self.by_address.get(address, {})
        if allocation.slot in slots or allocation.slot not in (0, *SLOTS):
            raise ConstraintViolated(f"{allocation.address} is held in space {allocation.space}")
        if allocation.prefix_length is not None and not allocation.slot and self._is_held(allocation):
            raise ConstraintViolated(f"a part of {allocation.written} is held in space {allocation.space}")
        if allocation.position in positions:
            raise ConstraintViolated(f"the holder has an address at position {allocation.position}")
        seat = _pinned_to(allocation)
        if seat is not None and allocation.seat is not None:
            taken = self.by_seat.get(seat, {})
            if allocation.seat.position in taken:
                raise ConstraintViolated(f"seat {seat.number} of node {seat.node.name} has a container")
            pinned = {**taken, allocation.seat.position: self._last_id + 1}
            self.journal.put(self.by_seat, seat, pinned)
        self._last_id += 1  # never taken back: an id names one row for ever
        row = structs.replace(allocation, id=self._last_id)
        if row.idempotency is not None:
            key = (row.idempotency.key, row.position)
            if key in self.by_key:
                raise ConstraintViolated("the idempotency key has been used")
            self.journal.put(self.by_key, key, self._last_id)
        self.journal.put(self.by_address, address, {**slots, row.slot: self._last_id})
        self.journal.put(self.by_holder, row.digest, {**positions, row.position: self._last_id})
        self.journal.put(self.rows, self._last_id, row)
        if row.prefix_length is not None:
            self.journal.put(self.prefixes, self._last_id, row.addresses)

    def _is_held(self, prefix: Allocation) -> bool:
        """Whether a live allocation has an address of a prefix."""
        own = prefix.addresses
        around = (self.rows[row] for row, other in self.prefixes.items() if other.overlaps(own))
        if any(row.space == prefix.space for row in around):
            return True
        return any(space == prefix.space and own.contains(address) for space, address in self.by_address)

    def having(self, space: str, address: IPAddress) -> list[Allocation]:
        """The live rows of an address by slot, also those of a prefix around it."""
        around = [
            self.rows[row]
            for row, addresses in self.prefixes.items()
            if addresses.contains(address) and addresses.first != address
        ]
        found = [row for row in around if row.space == space]
        return [*self.of_address(space, address), *sorted(found, key=lambda row: row.slot)]

    def end(self, ended: Ended) -> None:
        """End a live row; its address and its holder's position are free from here on."""
        row = self._live(ended.id)
        if row.away_since is None and isinstance(row.holder, Owner) and row.is_of_owner:
            raise ConstraintViolated(f"the owner of {row.address} is not away")
        self.journal.put(self.rows, ended.id, ended.over(row))
        self._vacate(row)

    def drop(self, allocation: int) -> None:
        """Remove a live row, which leaves no history."""
        row = self._live(allocation)
        self.journal.drop(self.rows, allocation)
        self._vacate(row)

    def pinned(self, seats: Sequence[SeatKey]) -> list[Allocation]:
        """The live rows of containers on some seats."""
        return [self.rows[row] for seat in seats for row in self.by_seat.get(seat, {}).values()]

    def _vacate(self, row: Allocation) -> None:
        self.journal.drop(self.prefixes, row.stored_id)
        seat = _pinned_to(row)
        if seat is not None and row.seat is not None:
            others = {at: other for at, other in self.by_seat[seat].items() if at != row.seat.position}
            self.journal.put(self.by_seat, seat, others)
        address = row.space, row.address
        slots = {slot: other for slot, other in self.by_address[address].items() if slot != row.slot}
        if slots:
            self.journal.put(self.by_address, address, slots)
        else:
            self.journal.drop(self.by_address, address)
        left = {at: other for at, other in self.by_holder[row.digest].items() if at != row.position}
        if left:
            self.journal.put(self.by_holder, row.digest, left)
        else:
            self.journal.drop(self.by_holder, row.digest)

    def repeat(self, repeated: Repeated) -> None:
        """Note that a live row's ADD came again."""
        row = self._live(repeated.id)
        again = structs.replace(
            row,
            generation=repeated.generation,
            repeated=repeated.repeated,
            boot=repeated.boot,
            netns=repeated.netns,
        )
        self.journal.put(self.rows, repeated.id, again)

    def of_address(self, space: str, address: IPAddress) -> list[Allocation]:
        """The live rows that begin with an address, by slot."""
        slots = self.by_address.get((space, address), {})
        return [self.rows[slots[slot]] for slot in sorted(slots)]

    def change_owner(self, change: OwnerChange) -> None:
        """Write what becomes of an owner."""
        row = self._live(change.id)
        changed = structs.replace(row, away_since=change.away_since, generation=change.generation)
        self.journal.put(self.rows, change.id, changed)

    def leave_to_workloads(self, hold: str) -> None:
        """Have what workloads took of a hold go back to no hold of this name."""
        for row in taken_of(hold, self.rows.values()):
            self.journal.put(self.rows, row.stored_id, structs.replace(row, hold=None))

    def set_back(self, earlier: SetBack) -> None:
        """Lower the moments of a row, if it exists."""
        row = self.rows.get(earlier.id)
        if row is not None:
            self.journal.put(self.rows, earlier.id, earlier.lowered(row))

    def forget(self, before: Instant) -> None:
        """Drop what has ended by then, outside any unit of work."""
        for number, row in list(self.rows.items()):
            if row.until is not None and row.until <= before:
                del self.rows[number]
                if row.idempotency is not None:
                    del self.by_key[row.idempotency.key, row.position]

    def _live(self, allocation: int) -> Allocation:
        row = self.rows.get(allocation)
        if row is None or row.until is not None:
            raise ConstraintViolated(f"allocation {allocation} is not live")
        return row


def _pinned_to(row: Allocation) -> SeatKey | None:
    """The seat of a row that a container has."""
    if row.seat is None or not isinstance(row.holder, Identity):
        return None
    return SeatKey(row.holder.node_key, row.seat.number)


class Blocks:
    """The blocks of all pools, and for the search those with an address free, longest free first."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[str, dict[int, Block]] = defaultdict(dict)
        self.cursors: dict[str, int] = {}
        self._of_all: dict[str, list[RoomEntry]] = defaultdict(list)
        self._of_node: dict[tuple[str, NodeKey | None], list[RoomEntry]] = defaultdict(list)
        self._empty: dict[str, list[RoomEntry]] = defaultdict(list)

    def get(self, pool: str, first: int) -> Block | None:
        """A copy of one block."""
        block = self.rows[pool].get(first)
        return None if block is None else copy_of(block)

    def search(self, search: BlocksWithFree) -> list[Block]:
        """Copies of the blocks that a search means."""
        found: list[Block] = []
        for since, first in self._some_with_free(search):
            if since > search.free_before or len(found) == search.limit:
                break
            block = self.rows[search.pool][first]
            if search.most_allocated is not None and block.allocated > search.most_allocated:
                continue
            foreign = search.owner is not BlockOwner.OTHER_WHILE_EMPTY or block.node != search.node
            if first not in search.but_not and foreign:
                found.append(copy_of(block))
        return found

    def _some_with_free(self, search: BlocksWithFree) -> list[RoomEntry]:
        rooms = self._rooms_for(search)
        if search.most_allocated is None:
            return rooms
        return sorted(rooms, key=lambda entry: (entry[0], -entry[1]))

    def _rooms_for(self, search: BlocksWithFree) -> list[RoomEntry]:
        match search.owner:
            case BlockOwner.ANY:
                return self._of_all[search.pool]
            case BlockOwner.OWN:
                return self._of_node[search.pool, search.node]
            case BlockOwner.NONE:
                return self._of_node[search.pool, None]
            case BlockOwner.OTHER_WHILE_EMPTY:
                return self._empty[search.pool]

    def between(self, pool: str, first: int, last: int) -> list[Block]:
        """Copies of the blocks that hold any address from `first` to `last`, in their order."""
        rows = self.rows[pool].values()
        hit = [copy_of(block) for block in rows if block.first <= last and block.first + block.size > first]
        return sorted(hit, key=lambda block: block.first)

    def add(self, block: Block) -> bool:
        """Add a block unless it exists; whether it is new."""
        if block.first in self.rows[block.pool]:
            return False
        self._put(block)
        return True

    def write(self, block: Block) -> None:
        """Write back a block."""
        before = self.rows[block.pool].get(block.first)
        if before is None:
            raise ConstraintViolated(f"pool {block.pool} has no block {block.first}")
        for room, entry in self._rooms_of(before):
            self.journal.delete(room, entry)
        self._put(block)

    def _put(self, block: Block) -> None:
        kept = copy_of(block)
        self.journal.put(self.rows[block.pool], block.first, kept)
        for room, entry in self._rooms_of(kept):
            self.journal.insert(room, entry)

    def _rooms_of(self, block: Block) -> list[tuple[list[RoomEntry], RoomEntry]]:
        if block.next_free_since is None:
            return []
        entry = (block.next_free_since, block.first)
        rooms = [self._of_all[block.pool], self._of_node[block.pool, block.node]]
        if block.node is not None and block.allocated == 0:
            rooms.append(self._empty[block.pool])
        return [(room, entry) for room in rooms]

    def forget(self, pool: str) -> None:
        """Drop a pool's blocks and its cursor."""
        for block in list(self.rows[pool].values()):
            for room, entry in self._rooms_of(block):
                self.journal.delete(room, entry)
            self.journal.drop(self.rows[pool], block.first)
        self.journal.drop(self.cursors, pool)

    def longest_free(self, pool: str) -> Instant | None:
        """Since when the pool's next address is free."""
        room = self._of_all[pool]
        return room[0][0] if room else None


def copy_of(block: Block) -> Block:
    """A block that can be changed without changing this one."""
    return replace(block, free_since=array("q", block.free_since))


class Releases:
    """Releases to remember: the last of each holder, and each undo."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[Digest, tuple[RememberedRelease, ...]] = {}

    def remember(self, release: RememberedRelease) -> None:
        """Keep a release in place of those that it makes superfluous."""
        known = self.rows.get(release.digest, ())
        rivals = [other for other in known if _same_memory(other, release)]
        if any((other.order, other.until) >= (release.order, release.until) for other in rivals):
            return
        kept = tuple(other for other in known if other not in rivals)
        self.journal.put(self.rows, release.digest, (*kept, release))

    def forget(self, before: Instant) -> None:
        """Drop those whose time is over."""
        for digest, known in list(self.rows.items()):
            kept = tuple(release for release in known if release.until > before)
            if kept:
                self.rows[digest] = kept
            else:
                del self.rows[digest]

    def after(self, moment: Instant) -> int:
        """How many are kept beyond a moment."""
        return sum(release.until > moment for known in self.rows.values() for release in known)

    def shorten(self, until: Instant) -> int:
        """Keep none beyond a moment; how many were."""
        count = self.after(until)
        for digest, known in self.rows.items():
            self.rows[digest] = tuple(replace(one, until=min(one.until, until)) for one in known)
        return count


def _same_memory(one: RememberedRelease, other: RememberedRelease) -> bool:
    if one.undo or other.undo:
        return one.undo == other.undo and one.order == other.order
    return True


class FormerAddresses:
    """The addresses that workloads had in sticky pools."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[Digest, dict[int, FormerAddress]] = {}

    def of(self, workload: Digest) -> list[FormerAddress]:
        """What a workload had."""
        return list(self.rows.get(workload, {}).values())

    def write(self, one: FormerAddress) -> None:
        """Keep the address of whoever began last."""
        known = self.rows.get(one.workload, {})
        if one.position not in known or known[one.position].since <= one.since:
            self.journal.put(self.rows, one.workload, {**known, one.position: one})

    def forget(self, before: Instant) -> None:
        """Drop those that need not be remembered after an instant."""
        for workload, known in list(self.rows.items()):
            kept = {position: one for position, one in known.items() if one.until > before}
            if kept:
                self.rows[workload] = kept
            else:
                del self.rows[workload]


class Announcing:
    """What is announced of pod networks, each with the number under which it last changed."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.positions: dict[str, NetworkPosition] = {}
        self.forgotten: dict[str, int] = {}
        self.numbers: dict[Announced, int] = {}

    def announce(self, announced: Set[Announced]) -> None:
        """Note changes under the next numbers of their clusters."""
        for cluster in {each.cluster for each in announced}:
            known = self.positions.get(cluster) or NetworkPosition(str(uuid4()), 0)
            self.journal.put(self.positions, cluster, known._replace(number=known.number + 1))
        for each in announced:
            self.journal.put(self.numbers, each, self.positions[each.cluster].number)

    def renew_epochs(self) -> None:
        """Begin a new epoch of each cluster's numbers."""
        for cluster, known in list(self.positions.items()):
            self.journal.put(self.positions, cluster, known._replace(epoch=str(uuid4())))

    def forget(self, cluster: str, nodes: Mapping[NodeKey, Node]) -> None:
        """Drop what is noted of nodes that are gone, if it is old."""
        back_to = self.positions[cluster].number - KEPT_ANNOUNCEMENTS
        for each, number in list(self.numbers.items()):
            if each.cluster != cluster or each.kind is not AnnouncedKind.NODE or number > back_to:
                continue
            node = nodes.get(NodeKey(cluster, each.name))
            if node is None or node.published is None:
                self.journal.drop(self.numbers, each)
                self.journal.put(self.forgotten, cluster, back_to)


class Leases:
    """What nodes may give, and their seats."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[NodeKey, Lease] = {}
        self.seats: dict[SeatKey, Seat] = {}
        self.configurations: dict[Digest, bytes] = {}

    def of_node(self, node: NodeKey) -> list[Seat]:
        """The seats of a node, by number."""
        return [self.seats[key] for key in sorted(self.seats) if key.node == node]

    def write(
        self,
        leases: Sequence[Lease],
        seats: Sequence[Seat],
        returned: Sequence[SeatKey],
        recalled: Sequence[SeatKey],
        configurations: Mapping[Digest, bytes],
    ) -> None:
        """Write what a unit of work changes."""
        for lease in leases:
            self.journal.put(self.rows, lease.node, lease)
        for seat in seats:
            self.journal.put(self.seats, SeatKey(seat.node, seat.number), seat)
        for key in recalled:
            if key in self.seats:
                self.journal.put(self.seats, key, structs.replace(self.seats[key], is_recalled=True))
        for key in returned:
            self.journal.drop(self.seats, key)
        for digest, configuration in configurations.items():
            self.journal.put(self.configurations, digest, configuration)


class Tables:
    """All that the memory backend keeps."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.allocations = Allocations(self.journal)
        self.blocks = Blocks(self.journal)
        self.releases = Releases(self.journal)
        self.leases = Leases(self.journal)
        self.former = FormerAddresses(self.journal)
        self.tallies: dict[Tally, int] = {}
        self.catalogue: dict[str, Snapshot] = {REVISION: Snapshot()}
        self.boots: dict[NodeKey, tuple[Boot, ...]] = {}
        self.contacts: dict[NodeKey, Instant] = {}
        self.censuses: dict[NodeKey, Census] = {}
        self.receipt_key = secrets.token_bytes(32)
        self.uses: dict[int, Instant] = {}
        self.removed_pools: dict[str, None] = {}
        self.announcing = Announcing(self.journal)
        self.requests: dict[int, ChangeRequest] = {}
        self.samples: dict[tuple[str, Instant], int] = {}
        self.log: dict[int, LogEntry] = {}
        self.logged = 0
        """The id of the latest entry of the log. It is never taken back."""
        self.forgotten: Instant = 0
        self.counted: Instant = 0

    @property
    def snapshot(self) -> Snapshot:
        """The catalogue as it stands."""
        return self.catalogue[REVISION]

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        self.journal.put(self.catalogue, REVISION, snapshot)

    def write_tallies(self, tallies: Mapping[Tally, int]) -> None:
        """Write what tallies count from now on."""
        for tally, used in tallies.items():
            if used:
                self.journal.put(self.tallies, tally, used)
            else:
                self.journal.drop(self.tallies, tally)

    def live_tallies(self, quota: Quota) -> dict[Tally, int]:
        """What the tallies of a quota should say."""
        return counted(quota, (row for row in self.allocations.rows.values() if row.until is None))

    def drop_tallies(self, quota: str) -> None:
        """Forget what a quota counts."""
        self.write_tallies({tally: 0 for tally in self.tallies if tally.quota == quota})

    def seat_rows(self, node: NodeKey) -> list[Allocation]:
        """The live rows of a node's seats."""
        rows = []
        for seat in self.leases.of_node(node):
            key = SeatKey(node, seat.number)
            rows += self.allocations.held_by(seat_owner(key).digest) + self.allocations.pinned([key])
        return rows

    def seat_counts(self, pools: Sequence[str]) -> dict[NodeKey, SeatCount]:
        """The addresses of some pools that belong to seats, by node."""
        return count_seats(row for row in self.allocations.rows.values() if row.pool in pools)

    def blocks_numbered(self, pool: str, numbers: Sequence[int]) -> list[Block]:
        """Copies of those of the blocks that exist."""
        found = (self.blocks.get(pool, first) for first in numbers)
        return [block for block in found if block is not None]
