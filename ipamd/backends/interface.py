"""The border to storage: what the engine asks of a database, and all that it knows of one.

A backend keeps rows, holds locks and makes writes durable; it decides nothing. Every method answers for
the whole batch at once. A method may raise `Unavailable` when the database does not answer. What a method
is given or answers is its caller's, who may change it without changing what is kept.

What each of these promises means in detail is held by `ipamd.backends.conformance`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Snapshot
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.issued import Order
from ipamd.models.node import Boot, NodeKey
from ipamd.models.pool import Pool
from ipamd.models.query import AllocationQuery, Fill, HistoryQuery

T = TypeVar("T")


class ConstraintViolated(Exception):
    """What was written contradicts a constraint of the schema; nothing of the unit of work is kept.

    It ends the unit of work, which must not go on from there.
    """


class InDoubt(Exception):
    """The database did not say whether a unit of work was kept: settled again, its holders' rows tell."""


@dataclass(frozen=True, slots=True)
class RememberedRelease:
    """A release that outlives what it freed, so that a call which it overtook is known when it arrives.

    Of a holder's releases the one with the latest order is kept, of equals the one with the later `until`;
    beside it each undo, once for each order, for an undo means one ADD only.
    """

    digest: Digest
    order: Order
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
class AuditedBlocks:
    """Blocks with what the allocations say of them, all as of one moment, at the catalogue's `revision`.

    `pools` are their pools as they are stored, but for those that do not exist.
    """

    revision: int
    pools: Mapping[str, Pool]
    blocks: Sequence[tuple[Block, BlockRecord]]


class RowPlace(NamedTuple):
    """Where a row stands among all that are live and ended: by address, of one address by time."""

    space: str
    address: bytes
    since: Instant
    id: int


@dataclass(frozen=True, slots=True)
class AuditedRows:
    """Allocations, and which blocks and pools of the live ones exist, as of one moment at this `revision`."""

    revision: int
    pools: Mapping[str, Pool]
    rows: Sequence[Allocation]
    blocks: Set[BlockId]


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
    repeated: Order


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
        calls, two units of work with patience never wait for each other here.
        """
        ...

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        """What the allocations say of a block; called after the block is locked, or while none is carved."""
        ...

    async def revision(self) -> int:
        """The catalogue's revision as last committed; called after the blocks are locked."""
        ...

    async def write(self, changes: Changes) -> None:
        """Write all of it; raises `ConstraintViolated` where the schema forbids it.

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


class Catalogue(Protocol):
    """One change of what admins decide; changes come one after another."""

    async def raise_revision(self) -> int:
        """Take the catalogue for this change; the new revision."""
        ...

    async def load(self, known: Snapshot) -> Snapshot:
        """The catalogue as it stands; reads only what changed after `known`.

        Where `known` is later than the catalogue (a database was put back), all of it is read.
        """
        ...

    async def save(self, entry: Entry) -> None:
        """Add or replace an entry; its `revision` is the new one.

        Raises `ConstraintViolated` for a token with the hash of another.
        """
        ...

    async def remove(self, entry: Entry) -> None:
        """Remove an entry.

        A pool goes with its blocks and cursor, a node with its contact, not its boots, a token with its last
        use. History stays.
        """
        ...

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        """Lock and read the blocks that hold any address from `first` to `last`, by number, waiting."""
        ...

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        """Write back blocks that a change touched; the pool's cursor is lowered to `cursor`, never raised.

        Raises `ConstraintViolated` where a block does not exist.
        """
        ...

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        """The live allocation of an address."""
        ...

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        """The boots of a node, in the order of their numbers."""
        ...

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        """Add a boot; raises `ConstraintViolated` when its identity or number is known."""
        ...


class Ledger(Protocol):
    """Reading only, from connections of its own: never in the way of a writer.

    Each method sees whole units of work only, and all of those that were answered before it was called.
    """

    async def snapshot(self, known: Snapshot) -> Snapshot:
        """The catalogue as last committed; reads as `Catalogue.load` does."""
        ...

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        """Live allocations in the order of `AllocationQuery.place`.

        `after` is the id of the last allocation of the page before, live or ended; an id that is not known
        ends the list.
        """
        ...

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        """Allocations, live and ended, the latest begun first.

        `before` is the id of the last allocation of the page before; an id that is not known ends the list.
        """
        ...

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        """The live allocations of one holder, by position."""
        ...

    async def allocation(self, allocation: int) -> Allocation | None:
        """One row, live or ended."""
        ...

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        """The row that a request with this key made, live or ended; of several the first by position."""
        ...

    async def fill(self, pools: Sequence[str]) -> Mapping[str, Fill]:
        """Sums over the blocks of some pools; a pool without blocks is left out."""
        ...

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        """The blocks of a pool freed from after an instant, and those that hold any address between two.

        By number; `between` has the first and the last of the addresses.
        """
        ...

    async def contacts(self) -> Mapping[NodeKey, Instant]:
        """Every node that was ever heard from, and when it last was, as last written."""
        ...

    async def uses(self) -> Mapping[int, Instant]:
        """When each token, by its id, was last used, as last written."""
        ...


class Audit(Protocol):
    """Reading for the check of everything, a piece at a time; as `Ledger` reads."""

    async def blocks(self, after: BlockId | None, limit: int) -> AuditedBlocks:
        """The blocks after one, in the order of pool and number. Of one without a pool nothing is said."""
        ...

    async def rows(self, begin: RowPlace | None, limit: int) -> AuditedRows:
        """Allocations, live and ended, in the order of their places, that of `begin` included."""
        ...


Work = Callable[[Transaction], Coroutine[Any, Any, T]]
Change = Callable[[Catalogue], Coroutine[Any, Any, T]]


class Backend(Protocol):
    """One open database. Opened by the function that the entry point of the URL's scheme names.

    Where a database serves one process at a time, a second opening is refused with `DatabaseUnfit`.
    """

    ledger: Ledger
    audit: Audit

    @property
    def lanes(self) -> int:
        """How many units of work are worth having under way at once."""
        ...

    def transact(self, work: Work[T], patience: float | None = None) -> Awaitable[T]:
        """Run one unit of work to its end and make it durable; an exception undoes it and is passed on.

        One that waits for anything but its own transaction is undone with `RuntimeError`. A caller that goes
        away leaves its unit of work whole or undone. One that met others may be undone and run again from
        its beginning, so that what it does outside the transaction must not count.

        Where units of work run beside each other, one without `patience` never waits for what another
        holds: it is told `busy` and `passed_over`. One with it waits, so many seconds for each, and is
        refused with `Unavailable` when they are over. Raises `InDoubt` when the commit went unanswered.
        """
        ...

    def change(self, work: Change[T]) -> Awaitable[T]:
        """Run one change of the catalogue, in the same way."""
        ...

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        """Write when nodes were last heard from, in one statement."""
        ...

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        """Write when tokens were last used, by their ids, in one statement."""
        ...

    async def forget_releases(self, before: Instant) -> None:
        """Drop the remembered releases whose `until` is not after `before`, in small pieces."""
        ...

    async def forget_history(self, before: Instant, after: int) -> int | None:
        """Drop allocations with ids above `after` that ended until `before`, as many as nobody notices.

        Answers the id up to which it looked; None when there are no more, or another process is at it.
        """
        ...

    async def ready(self) -> str | None:
        """None when the database answers and its schema fits, else the sentence that says what is wrong."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let the database go; work is refused with `Unavailable` from then on.

        `ready` says then that it is closed; closing again does nothing.
        """
        ...
