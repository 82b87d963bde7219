"""What may be asked of the record of allocations."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.address import IPAddress
from ipamd.models.instant import Instant
from ipamd.models.pool import DEFAULT_SPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationQuery:
    """Which live allocations; all that is given must match. `address` is looked up in `space`."""

    pool: str | None = None
    cluster: str | None = None
    node: str | None = None
    network: str | None = None
    namespace: str | None = None
    name: str | None = None
    container_id: str | None = None
    owner: str | None = None
    address: IPAddress | None = None
    space: str = DEFAULT_SPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which allocations, live and ended, latest first.

    `at` keeps those that held at that moment; `after` and `before` those that held at any moment between.
    """

    address: IPAddress | None = None
    space: str = DEFAULT_SPACE
    namespace: str | None = None
    name: str | None = None
    cluster: str | None = None
    node: str | None = None
    at: Instant | None = None
    after: Instant | None = None
    before: Instant | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a pool's blocks are: sums over blocks, nothing counted allocation by allocation."""

    blocks: int
    allocated: int
    next_free_since: Instant | None
