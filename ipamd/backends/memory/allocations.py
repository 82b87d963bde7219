"""The allocations in memory, with the constraints that a database's schema has."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ipamd.backends.hold_rows import taken_of
from ipamd.backends.interface import ConstraintViolated, Ended, OwnerChange, Repeated, SetBack
from ipamd.backends.memory.journal import Journal
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.allocation import SLOTS, Allocation
from ipamd.models.identity import Digest, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.lease import SeatKey


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
