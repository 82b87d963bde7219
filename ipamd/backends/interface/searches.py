"""What a unit of work looks for, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum

from ipamd.backends.interface.changes import RememberedRelease
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.quota import Tally


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
