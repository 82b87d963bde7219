"""One unit of work on allocations: what it finds, locks, carves and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ipamd.models.allocation import Allocation, Ending
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool


class ConstraintViolated(Exception):
    """What was written contradicts a constraint of the schema; nothing of the unit of work is kept.

    It ends the unit of work, which must not go on from there.
    """


@dataclass(frozen=True, slots=True)
class RememberedRelease:
    """A release that outlives what it freed, so that a call which it overtook is known when it arrives.

    Of a holder's releases the one with the latest order is kept, of equals the one with the later `until`;
    beside it each undo, once for each order, for an undo means one ADD only.
    """

    digest: Digest
    order: CallOrder
    undo: bool
    until: Instant


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of some holders: their live allocations by position, and their remembered releases.

    Of those in `busy` nothing is known: another unit of work is about them.
    """

    held: Mapping[Digest, Sequence[Allocation]]
    releases: Mapping[Digest, Sequence[RememberedRelease]]
    busy: Set[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class BlockId:
    """One block, by its number."""

    pool: str
    first: int


class BlockOwner(Enum):
    """Which blocks of a pool a search means, seen from one node."""

    ANY = "all blocks"
    OWN = "blocks of the node"
    NONE = "blocks without a node"
    OTHER_WHILE_EMPTY = "blocks of other nodes, with nothing allocated"


@dataclass(frozen=True, slots=True)
class BlocksWithFree:
    """Up to `limit` blocks of a pool that have had an address free since `free_before` or longer.

    Those free longest come first. `node` is the node that looks, None where `owner` is `ANY`.
    `but_not` are numbers of blocks that the caller has already.
    """

    pool: str
    owner: BlockOwner
    node: NodeKey | None
    free_before: Instant
    limit: int
    but_not: frozenset[int] = frozenset()


BlockSearch = BlockId | BlocksWithFree


@dataclass(frozen=True, slots=True)
class Locked:
    """The blocks of one search, locked until the unit of work ends.

    `passed_over` says that another unit of work holds blocks that the search wanted: what was found is not
    all that there is.
    """

    blocks: Sequence[Block]
    passed_over: bool = False


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """What the allocations say of the addresses of one block.

    `live` are those of its pool that go on. `ended` has, for each address (its value) of which the allocation
    that ended last was of its pool too, when that ended. What ended until `forgotten` may have been dropped.
    `reused` says that an earlier pool of this name was removed, and its blocks with it, but not its history.
    """

    live: Sequence[Allocation]
    ended: Mapping[int, Instant]
    forgotten: Instant
    reused: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A live allocation that ends; `by` is the admin behind it, if any, and `reason` what he gave for it."""

    id: int
    until: Instant
    ending: Ending
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """A live allocation whose ADD came again."""

    id: int
    generation: int
    repeated: CallOrder


@dataclass(slots=True)
class Changes:
    """All that a unit of work writes. Endings are written before beginnings: an address may pass on."""

    begun: list[Allocation] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    remembered: list[RememberedRelease] = field(default_factory=list)


class Transaction(Protocol):
    """One unit of work on allocations: durable when it ends, or nothing of it happened.

    Its methods may be called in any order and more than once, and see what it wrote.
    """

    async def find(self, digests: Sequence[Digest]) -> Found:
        """What these holders have, an entry for each of them even where it is empty.

        On a database with concurrent writers the holders are locked first.
        """
        ...

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        """Lock blocks and read them as last committed; one answer for each search, in order.

        A `BlockId` block that has not been carved answers with no block. Whatever the order of searches and
        calls, two units of work that wait for locks never wait for each other here.
        """
        ...

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        """What the allocations say of a block; called after the block is locked, or while none is carved."""
        ...

    async def revision(self) -> int:
        """The catalogue's revision as last committed; called after the blocks are locked."""
        ...

    async def write(self, changes: Changes) -> None:
        """Write all of it; raises `ConstraintViolated` if the schema forbids it.

        It forbids: a second live row with the space and address of another, or with its digest and position;
        a second row, live or ended, with its idempotency key and position; the end or repeat of a row that is
        not live; the writing of a block that does not exist. Each row that begins gets an id above every
        other that was given.
        """
        ...

    async def pin_catalogue(self) -> int:
        """The catalogue's revision, which no change raises before this unit of work ends."""
        ...

    async def cursor(self, pool: str) -> int:
        """Where carving goes on in a pool: every block below it is carved or outside the mask."""
        ...

    async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
        """Add blocks but those that exist, move the cursor (up or down) unless None; how many were new."""
        ...
