"""A contradiction in a database: the finding of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ipamd.models.address import IPAddress


class FindingKind(StrEnum):
    """The kind of a finding. The names never change: programs compare them."""

    BLOCK_WITHOUT_POOL = "block-without-pool"
    BLOCK_OUTSIDE_POOL = "block-outside-pool"
    HELD_WITHOUT_ALLOCATION = "held-without-allocation"
    ALLOCATION_NOT_IN_BLOCK = "allocation-not-in-block"
    FREE_SINCE = "free-since"
    ALLOCATED = "allocated"
    LEASED = "leased"
    LAST_FREED = "last-freed"
    NEXT_FREE_SINCE = "next-free-since"
    ALLOCATION_WITHOUT_POOL = "allocation-without-pool"
    ALLOCATION_OUTSIDE_POOL = "allocation-outside-pool"
    ALLOCATION_IN_WRONG_BLOCK = "allocation-in-wrong-block"
    ALLOCATION_WITHOUT_BLOCK = "allocation-without-block"
    OVERLAP = "overlap"
    NODE_SILENT = "node-silent"
    MOMENT_AHEAD = "moment-ahead"
    LIVING_CONFLICT = "living-conflict"
    PUT_BACK = "put-back"
    TALLY = "tally"
    HOLDER_WITHOUT_OWNER = "holder-without-owner"
    OWNER_HOLDERS = "owner-holders"
    HOLD = "hold"


REPAIRABLE = frozenset(
    {
        FindingKind.HELD_WITHOUT_ALLOCATION,
        FindingKind.ALLOCATION_NOT_IN_BLOCK,
        FindingKind.FREE_SINCE,
        FindingKind.ALLOCATED,
        FindingKind.LEASED,
        FindingKind.LAST_FREED,
        FindingKind.NEXT_FREE_SINCE,
        FindingKind.ALLOCATION_WITHOUT_BLOCK,
        FindingKind.MOMENT_AHEAD,
        FindingKind.TALLY,
    }
)
"""What the allocations alone decide: a block says of its addresses what they say, or it is wrong.
And what the clock decides: nothing has been yet that is ahead of it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One contradiction. `what` is a sentence that names both sides.

    `block` is the first address of the block. `allocation` is the id of the row concerned.
    """

    kind: FindingKind
    what: str
    space: str | None = None
    pool: str | None = None
    block: IPAddress | None = None
    address: IPAddress | None = None
    allocation: int | None = None
    repaired: bool = False

    @property
    def repairable(self) -> bool:
        """Whether a repair needs no guess."""
        return self.kind in REPAIRABLE
