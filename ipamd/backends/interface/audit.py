"""Reading for the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ipamd.backends.interface.searches import BlockId, BlockRecord
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally


@dataclass(frozen=True, slots=True)
class AuditedBlocks:
    """Blocks with their allocations, as of one moment, at the catalogue's `revision`.

    `pools` are their pools as they are stored, without those that do not exist.
    """

    revision: int
    pools: Mapping[str, Pool]
    blocks: Sequence[tuple[Block, BlockRecord]]


class RowPosition(NamedTuple):
    """The place of a row among all live and ended ones: by address, for one address by time."""

    space: str
    address: bytes
    since: Instant
    id: int


@dataclass(frozen=True, slots=True)
class AuditedRows:
    """Allocations, and which blocks and pools of the live ones exist, as of one moment at `revision`."""

    revision: int
    pools: Mapping[str, Pool]
    rows: Sequence[Allocation]
    blocks: Set[BlockId]


@dataclass(frozen=True, slots=True)
class Counted:
    """How far time has been counted, 0 if never; and until when history may have been dropped, 0 if never."""

    until: Instant
    forgotten: Instant


class Audit(Protocol):
    """Reading for the check, a portion at a time, in the way of `Ledger`."""

    async def blocks(self, after: BlockId | None, limit: int) -> AuditedBlocks:
        """The blocks after one, in the order of pool and number. A block without a pool has no record."""
        ...

    async def rows(self, begin: RowPosition | None, limit: int) -> AuditedRows:
        """Allocations, live and ended, in the order of their places, from `begin` on."""
        ...

    async def tallies(self, quota: Quota) -> tuple[Mapping[Tally, int], Mapping[Tally, int]]:
        """What the tallies of a quota say, and what live allocations say that they should, of one moment."""
        ...

    async def counted(self) -> Counted:
        """What is noted of time itself."""
        ...

    async def remembered_after(self, moment: Instant) -> int:
        """How many remembered releases have an `until` after a moment."""
        ...
