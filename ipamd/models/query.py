"""Queries for allocations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.pool import DEFAULT_SPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationQuery:
    """Which live allocations: those that match all given fields.

    An `address` finds the allocation that has it, also that of a prefix. `between` has the first and the
    last address of a part of `pool`, and finds what begins there. Without `space` an `address`, and such
    a part, is in the space `default`.
    """

    pool: str | None = None
    cluster: str | None = None
    node: str | None = None
    network: str | None = None
    namespace: str | None = None
    name: str | None = None
    container_id: str | None = None
    owner: str | None = None
    address: IPAddress | None = None
    between: tuple[IPAddress, IPAddress] | None = None
    space: str | None = None

    @property
    def in_space(self) -> str | None:
        """The space that is meant, None for all."""
        in_one = self.address is not None or self.between is not None
        return DEFAULT_SPACE if self.space is None and in_one else self.space

    def is_within(self, address: IPAddress) -> bool:
        """Whether an address is between those that are given, if any are."""
        if self.between is None:
            return True
        first, last = self.between
        return address.version == first.version and int(first) <= int(address) <= int(last)

    def place(self, row: Allocation) -> tuple[str, str, bytes, int]:
        """Where an allocation stands in the list: by space and address; in a namespace by name first."""
        name = (row.workload.name or "") if self.namespace is not None else ""
        return name, row.space, row.address.packed, row.slot


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which allocations, live and ended, latest first.

    An `address` finds those that had it, also those of prefixes. `at` selects those that held an address at
    that moment, `after` and `before` those that held it at any
    moment between. `owner` selects those of an owner, and of its holders.
    """

    address: IPAddress | None = None
    space: str = DEFAULT_SPACE
    namespace: str | None = None
    name: str | None = None
    cluster: str | None = None
    node: str | None = None
    owner: str | None = None
    at: Instant | None = None
    after: Instant | None = None
    before: Instant | None = None

    def has_address(self, row: Allocation) -> bool:
        """Whether an allocation is of the address, if one is asked for."""
        return self.address is None or row.addresses.contains(self.address)

    @property
    def in_space(self) -> str | None:
        """The space that is meant, None for all: it counts if an address is asked for."""
        return self.space if self.address is not None else None


@dataclass(frozen=True, slots=True)
class AllocationPage:
    """Allocations in the order of their list. The next page begins behind the id `next`; None at the end.

    A page may have fewer rows than were asked for though there is a next one: no more was read for it.
    """

    rows: Sequence[Allocation]
    next: int | None

    @classmethod
    def of(cls, rows: Sequence[Allocation], limit: int, reach: int | None = None) -> AllocationPage:
        """A page of `limit` rows out of one more, if there are so many. What was read goes up to `reach`."""
        if len(rows) > limit:
            return cls(rows[:limit], rows[limit - 1].id)
        return cls(rows, reach)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerQuery:
    """Which owners whom workloads name: those that match all given fields."""

    cluster: str | None = None
    namespace: str | None = None
    name: str | None = None

    def matches(self, row: Allocation) -> bool:
        """Whether an allocation is of such an owner."""
        if row.until is not None or not row.is_of_owner:
            return False
        namespace, name, cluster, _ = self.place(row)
        wanted = ((self.namespace, namespace), (self.name, name), (self.cluster, cluster))
        return all(asked in (None, there) for asked, there in wanted)

    @staticmethod
    def place(row: Allocation) -> tuple[str, str, str, int]:
        """Where an owner's address stands in the list: by namespace, name and cluster, then by position."""
        return row.workload.namespace or "", row.owner_name or "", row.holder.cluster or "", row.position


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactQuery:
    """Which nodes that have called, by cluster and name.

    `part` is in their names; `after` is the last one of the page before. Without `limit` it is all of them.
    """

    cluster: str | None = None
    name: str | None = None
    part: str | None = None
    after: NodeKey | None = None
    limit: int | None = None

    def picked(self, contacts: Mapping[NodeKey, Instant]) -> dict[NodeKey, Instant]:
        """Those of some contacts, in their order."""
        fitting = [
            key
            for key in contacts
            if self.cluster in (None, key.cluster)
            and self.name in (None, key.name)
            and (self.part is None or self.part in key.name)
            and (self.after is None or key > self.after)
        ]
        return {key: contacts[key] for key in sorted(fitting)[: self.limit]}


ALL_CONTACTS: Final = ContactQuery()


@dataclass(frozen=True, slots=True)
class BlocksWanted:
    """Which blocks of a pool: those freed after an instant, and those in some stretches of whole blocks."""

    pool: str
    freed_after: Instant
    stretches: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Fill:
    """How full the blocks of a pool are: sums over blocks, without counting allocations.

    `last_freed` is the latest of the blocks', `next_free_since` the earliest. `leased` of the allocated
    addresses are nodes' free seats.
    """

    allocated: int
    last_freed: Instant
    next_free_since: Instant | None
    leased: int = 0
