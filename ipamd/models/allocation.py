"""One holder's time with one address."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from ipamd.models.address import AddressRange, IPAddress, text_of
from ipamd.models.identity import Digest, Holder, Owner
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey


class Ending(StrEnum):
    """Why a holder's time with an address ended."""

    RELEASED = "released"  # the runtime's DEL
    UNDONE = "undone"  # the ADD that took it gave up
    COLLECTED = "collected"  # the runtime's GC did not name it
    ADMIN = "admin"  # somebody released it by hand
    DEAD = "dead"  # its node said that the container is gone
    TAKEN = "taken"  # a hold had it, and a workload took it


class Workload(Struct, frozen=True, gc=False):
    """The workload in the container, as far as the runtime named it."""

    namespace: str | None = None
    name: str | None = None
    uid: str | None = None

    @property
    def title(self) -> str | None:
        """The workload as people name it. Runtimes such as podman give a name without a namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace and self.name else self.name


class NetworkNamespace(Struct, frozen=True, gc=False):
    """Device and inode of a container's network namespace. In one boot no other namespace has the same."""

    device: int
    inode: int


HOLD_OWNER: Final = "hold"
"""Owners named `hold:NAME` are holds: they have addresses that no workload has taken."""

NEVER_CAME: Final[Instant] = 0
"""Since when an owner is away of whose address nobody has been a holder."""

SLOTS: Final = (1, 2)
"""An owner's address has so many living holders at most: a VM has two while it migrates."""


class Idempotency(Struct, frozen=True, gc=False):
    """An admin's `Idempotency-Key`, with the hash of the body it came with.

    Keys are unique for each token: the token's id and a blank stand before the key.
    """

    key: str
    body: bytes


class SeatPosition(NamedTuple):
    """Which seat of a node's lease an address belongs to, and its position in the seat's answer."""

    number: int
    position: int


class Allocation(Struct, frozen=True, kw_only=True):
    """A row of the table that tells who has an address and who had it; live while `until` is None.

    `position` is the place of the address in its request's answer. `taken` is the order of the call that
    took it, `repeated` that of the last repeat (at first the same); `generation` counts both, from 1.
    `id` is None until the row is stored. `begun_by` and `ended_by` are the principals behind it if admins
    did it, None for the plugin's calls; `reason` is what was given for the end, if anything was. `borrowed`
    says that a node took it out of a block that was not the node's. A live row with a `seat` belongs to its
    node's lease. While no container has it, `free_since` says since when the address is free.

    An address that workloads' owner has may be held by two containers beside it: they have `slot` 1 and 2 of
    the address as long as they live, every other row has 0, and `held_for` is the owner's name. `away_since`
    is of such an owner: when its last holder left, `NEVER_CAME` if there was none, None while there is one.
    Of the first holder of all that came to an owner `free_since` is `NEVER_CAME`.

    `hold` is the name of the hold that has the address, or out of which its holder took it. While the hold
    has it, `free_since` says since when the address is free.

    With a `prefix_length` it is of all addresses of the prefix that begins with `address`.
    """

    id: int | None
    space: str
    address: IPAddress
    pool: str
    block: int
    holder: Holder
    digest: Digest
    position: int
    workload: Workload
    boot: str | None
    netns: NetworkNamespace | None
    since: Instant
    until: Instant | None
    ending: Ending | None
    generation: int
    taken: CallOrder
    repeated: CallOrder
    idempotency: Idempotency | None = None
    begun_by: str | None = None
    ended_by: str | None = None
    reason: str | None = None
    borrowed: bool = False
    seat: SeatPosition | None = None
    free_since: Instant | None = None
    slot: int = 0
    held_for: str | None = None
    away_since: Instant | None = None
    hold: str | None = None
    prefix_length: int | None = None

    @property
    def addresses(self) -> AddressRange:
        """All addresses that it is of."""
        if self.prefix_length is None:
            return AddressRange(self.address, self.address)
        return AddressRange.of_prefix(self.address, self.prefix_length)

    @property
    def written(self) -> str:
        """The address as people read it, or the prefix."""
        return written(self.address, self.prefix_length)

    @property
    def owner_name(self) -> str | None:
        """The name of the owner who has it, or for whom a container holds it; None of a seat."""
        if isinstance(self.holder, Owner):
            return self.holder.name if self.seat is None else None
        return self.held_for

    @property
    def is_of_owner(self) -> bool:
        """Whether it is the address of an owner whom workloads name, and who may have holders."""
        return isinstance(self.holder, Owner) and self.holder.cluster is not None

    @property
    def announced_for(self) -> NodeKey | None:
        """The node for which its address is announced singly, if it is: borrowed, or a node's own."""
        if isinstance(self.holder, Owner):
            return self.holder.node_key
        return self.holder.node_key if self.borrowed else None

    @property
    def is_free_seat(self) -> bool:
        """Whether a node holds the address in advance, and no container has it."""
        return self.seat is not None and isinstance(self.holder, Owner)

    @property
    def is_left(self) -> bool:
        """Whether a hold has the address, and no workload has taken it."""
        return (
            self.hold is not None
            and isinstance(self.holder, Owner)
            and self.holder.name == f"{HOLD_OWNER}:{self.hold}"
        )

    @property
    def gave_back(self) -> bool:
        """Whether its end gave the address back. A holder's did not, nor a hold's whose address was taken."""
        return self.until is not None and not self.held_for and self.ending is not Ending.TAKEN

    @property
    def stored_id(self) -> int:
        """The id of a row that came out of a database, where every row has one."""
        if self.id is None:
            raise ValueError(f"the allocation of {self.address} was never stored")
        return self.id

    @property
    def held_by(self) -> str:
        """The holder as a sentence names it."""
        if self.is_left:
            return f"hold {self.hold}"
        if isinstance(self.holder, Owner):
            of_namespace = self.holder.cluster is not None
            return f"owner {self.workload.namespace}/{self.holder.name}" if of_namespace else self.holder.name
        container = f"container {self.holder.container_id} on node {self.holder.node}"
        workload = self.workload.title
        return f"{workload} ({container})" if workload else container


def written(address: IPAddress, prefix_length: int | None) -> str:
    """An address as people read it, or a prefix."""
    return text_of(address) if prefix_length is None else f"{address}/{prefix_length}"


def count_prefixes(live: Iterable[Allocation]) -> dict[str, dict[int, int]]:
    """How many prefixes of each length there are among live allocations, by pool."""
    found: dict[str, dict[int, int]] = {}
    for row in live:
        if row.prefix_length is not None and not row.slot:
            of_pool = found.setdefault(row.pool, {})
            of_pool[row.prefix_length] = of_pool.get(row.prefix_length, 0) + 1
    return found


def youngest_holders(live: Iterable[Allocation]) -> list[Allocation]:
    """Live allocations, but of two holders of an owner's address only the younger: it moves there."""
    rows = list(live)
    youngest = {(row.space, row.address): row.stored_id for row in sorted(rows, key=_id) if row.slot}
    return [row for row in rows if not row.slot or youngest[row.space, row.address] == row.stored_id]


def _id(row: Allocation) -> int:
    return row.stored_id
