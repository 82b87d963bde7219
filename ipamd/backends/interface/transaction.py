"""One unit of work on allocations: how it finds, locks, carves and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ipamd.backends.interface.changes import Changes
from ipamd.backends.interface.searches import (
    BlockRecord,
    BlockSearch,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, SeatKey
from ipamd.models.node import NodeKey
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


class TallyMoved(Exception):
    """Others have raised a tally beyond what a change of it allows, so nothing of the unit of work is stored.

    It ends the unit of work, which must not go on. Read again, the tally says what is left.
    """


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
