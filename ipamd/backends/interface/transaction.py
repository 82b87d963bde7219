"""One unit of work on allocations: how it finds, locks, carves and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from msgspec import structs

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation, Ending, NetworkNamespace
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, Seat, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced
from ipamd.models.pool import Pool
from ipamd.models.quota import Tally


class ConstraintViolated(Exception):
    """What was written violates a constraint of the schema, so nothing of the unit of work is stored.

    It ends the unit of work, which must not go on.
    """


class CatalogueMoved(Exception):
    """The catalogue is no longer the one by which changes were decided, so nothing of them is stored.

    It ends the unit of work, which must not go on.
    """


@dataclass(frozen=True, slots=True)
class RememberedRelease:
    """A remembered release, by which a call that it overtook is recognised when it arrives.

    Of a holder's releases the one with the latest order is kept; if two are equal, the one with the later
    `until`. Undos are kept beside it, one for each order, because an undo is for one ADD only.
    """

    digest: Digest
    order: CallOrder
    undo: bool
    until: Instant


@dataclass(frozen=True, slots=True)
class Found:
    """What is known about some holders: their live allocations by position, and their remembered releases.

    Nothing is known about the holders in `busy`: another unit of work has locked them.
    """

    held: Mapping[Digest, Sequence[Allocation]]
    releases: Mapping[Digest, Sequence[RememberedRelease]]
    busy: Set[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address of a space."""

    space: str
    address: IPAddress


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """What becomes of the live allocation of an owner whom workloads name: see `Allocation.away_since`."""

    id: int
    away_since: Instant | None
    generation: int


@dataclass(frozen=True, slots=True)
class BlockId:
    """One block, by its number."""

    pool: str
    first: int


@dataclass(frozen=True, slots=True)
class Tallied:
    """How many addresses some tallies count, as last committed.

    The counting quotas in `busy` are being counted by a change.
    """

    used: Mapping[Tally, int]
    busy: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TallyChange:
    """How many more addresses a tally counts. `most` is what it may count before, None if any number."""

    by: int
    most: int | None = None


class TallyMoved(Exception):
    """Others have raised a tally beyond what a change of it allows, so nothing of the unit of work is stored.

    It ends the unit of work, which must not go on. Read again, the tally says what is left.
    """


@dataclass(frozen=True, slots=True)
class HoldSearch:
    """A search for up to `limit` addresses that a hold has, free since `free_before` or longer, in order."""

    digest: Digest
    free_before: Instant
    limit: int


@dataclass(frozen=True, slots=True)
class HoldPosition:
    """One address that a hold may have, by its position."""

    digest: Digest
    position: int


@dataclass(frozen=True, slots=True)
class LockedRows:
    """The live allocations of one search, locked until the unit of work ends.

    `passed_over` says that another unit of work has locked allocations that the search wanted: there may be
    more than it found.
    """

    rows: Sequence[Allocation]
    passed_over: bool = False


class BlockOwner(Enum):
    """Which blocks of a pool a search is for, as seen from one node."""

    ANY = "all blocks"
    OWN = "blocks of the node"
    NONE = "blocks without a node"
    OTHER_WHILE_EMPTY = "blocks of other nodes, with nothing allocated"


@dataclass(frozen=True, slots=True)
class BlocksWithFree:
    """A search for up to `limit` blocks of a pool with an address that is free since `free_before` or longer.

    The blocks that have been free longest come first. `node` is the node that searches, None if `owner` is
    `ANY`. `but_not` are the numbers of blocks that the caller already has. With `most_allocated` it is for
    blocks of which no more addresses are allocated, and of equals the last come first.
    """

    pool: str
    owner: BlockOwner
    node: NodeKey | None
    free_before: Instant
    limit: int
    but_not: frozenset[int] = frozenset()
    most_allocated: int | None = None


BlockSearch = BlockId | BlocksWithFree


@dataclass(frozen=True, slots=True)
class Locked:
    """The blocks of one search, locked until the unit of work ends.

    `passed_over` says that another unit of work has locked blocks that the search wanted: there may be more
    than it found.
    """

    blocks: Sequence[Block]
    passed_over: bool = False


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """The allocations of the addresses of one block.

    `live` are the live ones of its pool. `ended` says for an address (its value) when its last allocation
    ended, also of a prefix around it, if that was of this pool too. Holders of an owner's address are in
    neither, for the address is the owner's. What ended until `forgotten` may have been dropped. `reused` says
    that an earlier pool of this name was removed with its blocks, but not its history.
    """

    live: Sequence[Allocation]
    ended: Mapping[int, Instant]
    forgotten: Instant
    reused: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A live allocation that ends.

    `by` is the admin who ended it, if any, and `reason` the admin's reason.
    """

    id: int
    until: Instant
    ending: Ending
    by: str | None = None
    reason: str | None = None

    def over(self, row: Allocation) -> Allocation:
        """The allocation as it is stored once it has ended."""
        return structs.replace(
            row,
            until=self.until,
            ending=self.ending,
            ended_by=self.by,
            reason=self.reason,
            seat=None,
            slot=0,
        )


@dataclass(frozen=True, slots=True)
class Repeated:
    """A live allocation whose ADD was repeated, and where its container lives by the last one."""

    id: int
    generation: int
    repeated: CallOrder
    boot: str | None
    netns: NetworkNamespace | None


@dataclass(frozen=True, slots=True)
class SetBack:
    """Moments of an allocation, live or ended, that a clock wrote which was ahead.

    A moment that is later than the one here becomes this one. Others stay, and so does a missing `until`.
    """

    id: int
    since: Instant
    until: Instant

    def lowered(self, row: Allocation) -> Allocation:
        """The allocation as it is stored then."""
        return structs.replace(
            row,
            since=min(row.since, self.since),
            until=None if row.until is None else min(row.until, self.until),
            away_since=None if row.away_since is None else min(row.away_since, self.until),
        )


@dataclass(slots=True)
class Changes:
    """Everything that a unit of work writes.

    `decided_at` is the revision of the catalogue by which it was decided, None if that does not matter.
    Endings are written before beginnings, so that an address may pass on. What is set back may be what ends.
    `owners` come before both: an owner ends only while it is away.
    `dropped` are the ids of live rows that leave no history: seats that no container had. `returned` seats
    are forgotten; those of `recalled` that there are become so. `configurations` are stored under their
    digests unless they are known. Of a workload and position the `former` address with the latest `since` is
    kept. `tallies` are changed last but for `announced`: who
    changes the same waits until this unit of work ends, and sees its change.
    `announced` comes last of all: see `CatalogueChange.announce`.
    """

    begun: list[Allocation] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    set_back: list[SetBack] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    remembered: list[RememberedRelease] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    returned: list[SeatKey] = field(default_factory=list)
    recalled: list[SeatKey] = field(default_factory=list)
    configurations: dict[Digest, bytes] = field(default_factory=dict)
    censuses: list[Census] = field(default_factory=list)
    former: list[FormerAddress] = field(default_factory=list)
    tallies: dict[Tally, TallyChange] = field(default_factory=dict)
    owners: list[OwnerChange] = field(default_factory=list)
    announced: frozenset[Announced] = frozenset()
    decided_at: int | None = None


class Transaction(Protocol):
    """One unit of work on allocations: it is durable when it ends, or nothing of it has happened.

    Its methods may be called in any order and repeatedly. They see what it wrote.
    """

    async def find(self, digests: Sequence[Digest]) -> Found:
        """What these holders have, with an entry for each of them even if it is empty.

        A database with concurrent writers locks the holders first.
        """
        ...

    async def leases(self, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
        """The leases of those nodes that have one. It is called after `find` has locked their digests."""
        ...

    async def census(self, node: NodeKey) -> Census | None:
        """What a node last said of itself. It is called after `find` has locked its digest."""
        ...

    async def pinned(self, seats: Sequence[SeatKey]) -> Sequence[Allocation]:
        """The live allocations of containers that belong to these seats."""
        ...

    async def former(self, workloads: Sequence[Digest]) -> Mapping[Digest, Sequence[FormerAddress]]:
        """The addresses that these workloads had, as last committed. One that had none may be missing."""
        ...

    async def tallies(self, wanted: Sequence[Tally], counting: Sequence[str]) -> Tallied:
        """Read what tallies count, and take quotas that are counting. Called between `find` and `lock`.

        `counting` are the names of quotas that do not know yet what is used. Any number of units of work may
        take them at once, but not while one is counted (`CatalogueChange.count`).
        """
        ...

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        """The live allocations that begin with some addresses. Of an address its owner comes first.

        It is called after the addresses' blocks are locked.
        """
        ...

    async def of_holds(self, searches: Sequence[HoldSearch | HoldPosition]) -> Sequence[LockedRows]:
        """Lock addresses that holds have. There is one answer for each search, in order.

        It is called between `find` and `lock`, at most once.
        """
        ...

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        """Lock blocks and read them as last committed. There is one answer for each search, in order.

        For a `BlockId` that has not been carved the answer has no block. Whatever the order of searches and
        calls is, two units of work that wait for locks never wait for each other here.
        """
        ...

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        """The record of a block. It is called after the block is locked, or while none is carved."""
        ...

    async def revision(self) -> int:
        """The revision of the catalogue as last committed. It is called after the blocks are locked."""
        ...

    async def write(self, changes: Changes) -> None:
        """Write everything. Raises `ConstraintViolated` if the schema forbids it, and `TallyMoved`.

        If the catalogue's revision, as last committed, is not `decided_at`, it raises `CatalogueMoved`, or
        `ConstraintViolated` if the other catalogue is what makes the changes wrong.

        The schema forbids: a second live row with the same space, address and slot; a prefix of which a live
        row has an address; a second live row with the same digest
        and position, or of containers of one node with the same seat; a second row, live or ended, with the
        same idempotency key and position; the end, repeat or change of a row that is not live, or to drop it;
        the end of an owner whom workloads name while it is not away; a slot beyond 2; to write a block that
        does not exist. Each new row gets an id above all earlier ones. A row that ends belongs to no seat any
        more, and has slot 0.
        """
        ...

    async def pin_catalogue(self) -> int:
        """The revision of the catalogue. No change raises it before this unit of work ends."""
        ...

    async def cursor(self, pool: str) -> int:
        """The cursor of a pool: every block below it is carved, or outside the mask."""
        ...

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        """Add blocks unless they exist, and move the cursor (up or down) unless it is None.

        Returns how many are new.
        """
        ...
