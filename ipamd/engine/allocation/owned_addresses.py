"""The addresses of owners whom workloads name, and their holders, in one batch.

An address's block is the lock of its holders too: who they are is read once the block is locked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from ipamd.backends.interface import Changes, Ended, HeldAddress, OwnerChange
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.holds import BatchHolds
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.allocation.tallies import BatchTallies
from ipamd.models.allocation import NEVER_CAME, SLOTS, Allocation, Ending, Workload
from ipamd.models.errors import AddressUnavailable, OwnerFull, OwnerHeld
from ipamd.models.identity import Digest, Holder, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool


def with_owned(wanted: Sequence[AddressRequest], owned: Sequence[Allocation]) -> list[AddressRequest]:
    """What is asked for, each with the address that the owner has there already, if it has one.

    A reservation says where a new address comes from, and not which one an owner has. Raises
    AddressUnavailable if another one is requested in a pool in which the owner has one.
    """
    left = list(owned)
    asked = []
    for each in wanted:
        pools = {pool.name for pool in each.pools}
        there = [row for row in left if row.pool in pools and row.prefix_length == each.prefix_length]
        place = each.place if each.reservation is None else None
        found = next((row for row in there if place is None or place.contains(row.address)), None)
        if found is not None:
            left.remove(found)
            each = structs.replace(each, owned=found)
        elif place is not None and there:
            has = " and ".join(row.written for row in there)
            raise AddressUnavailable(place.first, f"{there[0].held_by} has {has}: release it first")
        asked.append(each)
    return asked


@dataclass(slots=True)
class _Owned:
    """One address: its owner's row as it is stored, what becomes of the owner, and the holders by slot.

    `ends` says that the owner's time with it ends in this batch.
    """

    owner: Allocation | None
    holders: dict[int, Allocation]
    away_since: Instant | None
    generation: int
    ends: bool = False

    def is_still(self, row: Allocation) -> bool:
        """Whether the owner has it by the very row that was found before its block was locked."""
        return self.owner is not None and self.owner.id == row.id and not self.ends

    @property
    def change(self) -> OwnerChange | None:
        """What of the owner's row is to be written."""
        owner = self.owner
        if owner is None or (owner.away_since, owner.generation) == (self.away_since, self.generation):
            return None
        return OwnerChange(owner.stored_id, self.away_since, self.generation)


class OwnedAddresses:
    """What a batch knows of owners' addresses; what it must know first is noted for the next reading."""

    def __init__(
        self,
        blocks: BatchBlocks,
        tallies: BatchTallies,
        holds: BatchHolds,
        changes: Changes,
        now: Instant,
    ) -> None:
        self._blocks = blocks
        self._tallies = tallies
        self._holds = holds
        self._changes = changes
        self._now = now
        self._known: dict[HeldAddress, _Owned] = {}
        self._wanted: dict[HeldAddress, None] = {}
        self._positions: dict[Digest, int] = {}

    def lacks(self, row: Allocation) -> NotYet | None:
        """Why an owner's address is not at hand, None if it is."""
        lacking = self._blocks.lacks(row.pool, row.block)
        if lacking is not None or _place(row) in self._known:
            return lacking
        self._wanted[_place(row)] = None
        return NotYet.SEARCHING

    def unread(self) -> list[HeldAddress]:
        """The addresses whose holders must be read, now that their blocks are locked."""
        wanted, self._wanted = list(self._wanted), {}
        return wanted

    def receive(self, addresses: Sequence[HeldAddress], rows: Iterable[Allocation]) -> None:
        """Take in who has these addresses."""
        found: Mapping[HeldAddress, list[Allocation]] = defaultdict(list)
        for row in rows:
            found[_place(row)].append(row)
        for address in addresses:
            owner = next((row for row in found[address] if row.is_of_owner), None)
            holders = {row.slot: row for row in found[address] if row.slot}
            away_since, generation = (owner.away_since, owner.generation) if owner is not None else (None, 1)
            self._known[address] = _Owned(owner, holders, away_since, generation)

    def write(self) -> None:
        """Note what becomes of the owners."""
        self._changes.owners = [one.change for one in self._known.values() if one.change is not None]

    def holders(self, row: Allocation) -> list[Allocation]:
        """Who holds an owner's address beside the owner."""
        return list(self._known[_place(row)].holders.values())

    def take(
        self, row: Allocation, holder: Holder, pool: Pool, node: NodeKey | None
    ) -> PickedAddress | NotYet:
        """Pick the address that an owner has, for the owner or for one more holder.

        A release of the last holder ends the owner's time too if nothing is kept. It locks the block, and not
        the owner. So who waited for the block may find that the owner has nothing any more, and asks again.

        Raises OwnerFull, AddressUnavailable.
        """
        lacking = self.lacks(row)
        if lacking is not None:
            return lacking
        if not self._known[_place(row)].is_still(row):
            return NotYet.CONTENDED
        if isinstance(holder, Identity):
            holders = self.holders(row)
            for other in holders:
                _refuse_twice(other, holder)
            if len(holders) == len(SLOTS):
                raise OwnerFull(row.held_by, row.address, [other.held_by for other in holders])
            self._blocks.move(row, pool, node)
        return PickedAddress(pool, row.block, row.address, row, prefix_length=row.prefix_length)

    def begin_owner(self, owner: Owner, begun: Allocation, held: Sequence[Allocation]) -> None:
        """Begin an owner's time with the address that was taken for it; `held` is what it has already.

        The container that took it is the first holder, unless the owner itself asked.
        """
        position = self._positions.get(owner.digest) or max((row.position + 1 for row in held), default=0)
        self._positions[owner.digest] = position + 1
        is_asking = begun.holder == owner
        self._changes.begun.append(
            structs.replace(
                begun,
                holder=owner,
                digest=owner.digest,
                position=position,
                workload=Workload(begun.workload.namespace),
                boot=None,
                netns=None,
                borrowed=False,
                away_since=NEVER_CAME if is_asking else None,
            )
        )
        if not is_asking:
            self._changes.begun.append(structs.replace(begun, slot=SLOTS[0], held_for=owner.name))

    def tell_owner(self, row: Allocation) -> None:
        """Note that an owner was told of what it has, who asked for it: no undo frees it from now on."""
        self._known[_place(row)].generation += 1

    def begin_holder(self, owner: Owner, begun: Allocation) -> None:
        """Begin the time of one more holder of an address that was picked here."""
        owned = self._known[_place(begun)]
        slot = next(each for each in SLOTS if each not in owned.holders)
        is_first = owned.away_since == NEVER_CAME
        holder = structs.replace(
            begun, slot=slot, held_for=owner.name, free_since=NEVER_CAME if is_first else None
        )
        owned.holders[slot] = holder
        owned.away_since, owned.generation = None, owned.generation + 1
        self._changes.begun.append(holder)

    def end(self, row: Allocation, ended: Ended, pool: Pool | None) -> None:
        """End the time of a holder. The owner keeps the address, unless nobody was told of it but this one.

        If its pool keeps nothing for owners, the address is free at once. If the ADD of the first holder of
        all is undone, nobody ever came.
        """
        self._changes.end(row, ended)
        owned = self._known[_place(row)]
        owned.holders.pop(row.slot, None)
        owner = owned.owner
        if owner is None or owned.holders:
            return
        is_undone = ended.ending is Ending.UNDONE
        if is_undone and row.free_since == NEVER_CAME:
            owned.away_since = NEVER_CAME
            return
        owned.away_since = self._now
        only = owned.generation == 1 and (owner.taken, owner.since) == (row.taken, row.since)
        if (is_undone and only) or pool is None or not pool.owner_keep:
            self._end_owner(owner, replace(ended, id=owner.stored_id))

    def end_owner(self, row: Allocation, ended: Ended) -> None:
        """End an owner's time with an address that nobody holds."""
        owned = self._known[_place(row)]
        if owned.away_since is None:
            owned.away_since = self._now
        self._end_owner(row, ended)

    def _end_owner(self, row: Allocation, ended: Ended) -> None:
        self._known[_place(row)].ends = True
        self._holds.free(row, ended.until)
        self._changes.end(row, ended)
        self._tallies.end(row)

    def check_unheld(self, rows: Iterable[Allocation]) -> None:
        """Raise OwnerHeld if an address whose owner shall lose it has a holder."""
        for row in rows:
            holders = self.holders(row) if row.is_of_owner else ()
            if holders:
                raise OwnerHeld(row.held_by, row.address, [other.held_by for other in holders])

    def is_away(self, row: Allocation, since: Instant) -> bool:
        """Whether an owner has been without a holder since this very moment."""
        return self._known[_place(row)].away_since == since


def _refuse_twice(other: Allocation, holder: Identity) -> None:
    """Two interfaces of one container cannot have one address."""
    if not isinstance(other.holder, Identity):
        return
    same = (other.holder.node_key, other.holder.container_id) == (holder.node_key, holder.container_id)
    if same:
        raise AddressUnavailable(
            other.address,
            f"interface {other.holder.ifname} of this container has it for owner {other.held_for}: name "
            f"another owner for {holder.ifname}",
        )


def _place(row: Allocation) -> HeldAddress:
    return HeldAddress(row.space, row.address)
