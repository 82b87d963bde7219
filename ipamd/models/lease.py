"""Leases: addresses that a node holds in advance, each ready to be a container's."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec import Struct

from ipamd.models.allocation import Allocation, Ending, NetworkNamespace, Workload
from ipamd.models.identity import DIGEST_SIZE, Digest, Identity, Owner, digest_of
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey

LEASE_OWNER: Final = "lease"
"""Owners named `lease:CLUSTER/NODE/SEAT` are seats that no container has."""

GRACE: Final = 60 * SECOND
"""How much longer everybody else waits: the node's clock may be slower."""

SETTLING: Final = 10 * SECOND
"""How long a new boot of a node waits for a call of the former one, which would show a clone."""

REMEMBERED: Final = 16_384
"""Of so many seats the digest is not computed again: each report looks at it several times."""


class SeatKey(NamedTuple):
    """A seat of a node. Numbers count up and are never used again."""

    node: NodeKey
    number: int


class Seat(Struct, frozen=True, kw_only=True):
    """One ready answer of a node's lease.

    `key` is the node's own name of the configuration, `configuration` the digest of its bytes. A seat with
    `void_in` is not told of in that boot: a store that was lost there may have given it to a container. If it
    `is_recalled`, it is to be given back.
    """

    node: NodeKey
    number: int
    key: str
    configuration: Digest
    network: str
    void_in: str | None = None
    is_recalled: bool = False


class Lease(Struct, frozen=True, kw_only=True):
    """What a node may give, by which machine, in which boot and from which store.

    `granted` is the number of the last grant, `seats` that of the last seat, `until` the instant up to which
    the node may give. `reported` is the last event of this store. `noted_boot` and `noted_store` asked for
    the lease at `noted`, and get it unless the present boot calls in time. Seats up to number `recalled` are
    to be given back.
    """

    node: NodeKey
    epoch: int
    machine: str
    boot: str
    store: str
    granted: int
    seats: int
    until: Instant
    reported: int
    heard: Instant
    noted_boot: str | None = None
    noted_store: str | None = None
    noted: Instant | None = None
    recalled: int = 0


class SeatCount(NamedTuple):
    """Addresses of some pools that belong to a node's seats: free ones, and those that containers have."""

    free: int = 0
    taken: int = 0


class SeatEventKind(StrEnum):
    """What happened to a seat on its node."""

    BEGIN = "begin"  # a container took it
    REPEAT = "repeat"  # the ADD of its container came again
    END = "end"  # its container ended: it is free again


class SeatEvent(Struct, frozen=True, kw_only=True):
    """Something that a node did with a seat, `age` microseconds before it was reported.

    `order` is that of the call that did it. An end has no more than the holder and `ending`.
    """

    kind: SeatEventKind
    seat: int
    holder: Identity
    digest: Digest
    order: CallOrder
    age: Instant
    ending: Ending = Ending.RELEASED
    workload: Workload = Workload()
    boot: str | None = None
    netns: NetworkNamespace | None = None


@lru_cache(maxsize=REMEMBERED)
def lease_digest(node: NodeKey) -> Digest:
    """What is locked by whoever changes a node's lease, or counts on its epoch."""
    return digest_of(LEASE_OWNER, *node)


@lru_cache(maxsize=REMEMBERED)
def seat_owner(seat: SeatKey) -> Owner:
    """The holder of a seat's addresses while no container has them."""
    (cluster, node), number = seat
    return Owner(
        f"{LEASE_OWNER}:{cluster}/{node}/{number}", digest_of(LEASE_OWNER, cluster, node, str(number))
    )


def node_of_seats(owner: str) -> NodeKey:
    """The node in the name of a seat's owner."""
    cluster, _, rest = owner.removeprefix(f"{LEASE_OWNER}:").partition("/")
    return NodeKey(cluster, rest.rpartition("/")[0])


def count_seats(rows: Iterable[Allocation]) -> dict[NodeKey, SeatCount]:
    """Those of some live allocations that belong to seats, by node."""
    found: dict[NodeKey, SeatCount] = {}
    for row in rows:
        if row.seat is None:
            continue
        is_taken = isinstance(row.holder, Identity)
        node = row.holder.node_key if isinstance(row.holder, Identity) else node_of_seats(row.holder.name)
        known = found.get(node, SeatCount())
        found[node] = SeatCount(known.free + (not is_taken), known.taken + is_taken)
    return found


def configuration_digest(configuration: bytes) -> Digest:
    """The digest under which a configuration is stored once for all who have it."""
    return blake2b(configuration, digest_size=DIGEST_SIZE).digest()
