"""One holder's time with one address."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from ipamd.models.address import IPAddress
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
    def stored_id(self) -> int:
        """The id of a row that came out of a database, where every row has one."""
        if self.id is None:
            raise ValueError(f"the allocation of {self.address} was never stored")
        return self.id

    @property
    def held_by(self) -> str:
        """The holder as a sentence names it."""
        if isinstance(self.holder, Owner):
            return self.holder.name
        container = f"container {self.holder.container_id} on node {self.holder.node}"
        workload = self.workload.title
        return f"{workload} ({container})" if workload else container
