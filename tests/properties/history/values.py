"""What a plain model knows: who holds what, what is kept, limited, held and waited for."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from ipamd.models.address import AddressRange, IPAddress, IPNetwork
from ipamd.models.instant import Instant
from ipamd.models.pool import Pool

Had = IPAddress | IPNetwork
"""An address, or a prefix."""

FIRST_WAITER = 100
"""From this number on it is no container of a node, but a machine that waited by REST."""

Moment = tuple[int, int]
Answer = tuple[object, ...]


@dataclass
class Holding:
    """What one container holds, and which calls told of it."""

    addresses: list[tuple[str, Had]]
    taken: Moment
    repeated: Moment
    since: Instant
    told_others: bool = False
    owner: int | None = None


@dataclass
class Owned:
    """An address of an owner: who holds it, how often it was held or made, since when nobody has."""

    owner: int
    pool: str
    holders: set[int]
    told: int = 1
    away: Instant | None = None
    never_held: bool = False
    first: int | None = None
    """The container that holds it and came first of all."""


@dataclass
class Former:
    """What a workload had in a sticky pool, and when."""

    pool: str
    address: IPAddress
    since: Instant
    freed: Instant


@dataclass
class Kept:
    """A reservation; `workload` None keeps it for nobody."""

    addresses: AddressRange
    workload: str | None


@dataclass
class Limit:
    """A quota of the one namespace: how many addresses of each family, maybe of one pool or one family.

    The namespace of the cluster and that of machines, which are of none, share it or have it each.
    """

    limit: int
    pool: str | None
    family: int | None
    shared: bool

    def counts(self, pool: Pool) -> bool:
        return self.pool in (None, pool.name) and self.family in (None, pool.family)


@dataclass
class Freed:
    """When an address was given back, by the time that has passed and by the clock."""

    now: Instant
    wall: Instant


@dataclass
class Held:
    """A hold of the one namespace: what is left of it, since when each is free, and what is taken."""

    pool: str
    workloads: str | None
    until: Instant
    left: dict[IPAddress, Freed | None] = field(default_factory=dict)
    taken: set[IPAddress] = field(default_factory=set)

    def is_for(self, workload: str | None) -> bool:
        return self.workloads is None or self.workloads == workload


@dataclass
class Waiter:
    """One that waits for an address of a pool, or for this very one."""

    number: int
    pool: str
    address: IPAddress | None = None


def each_of(had: Had) -> list[IPAddress]:
    """The addresses of what somebody has: itself, or those of a prefix."""
    return list(had) if isinstance(had, IPv4Network | IPv6Network) else [had]


def first_of(had: Had) -> IPAddress:
    """The address that stands for what somebody has."""
    return had[0] if isinstance(had, IPv4Network | IPv6Network) else had


def weight_of(had: Had) -> int:
    """How much a quota counts what somebody has."""
    return had.num_addresses if isinstance(had, IPv4Network) else 1


def is_machine(container: int) -> bool:
    return container >= FIRST_WAITER


def node_of(container: int) -> str:
    return "none" if is_machine(container) else f"n{container % 2}"


def workload_of(container: int) -> str:
    """Containers 0 and 3 are of one workload, on two nodes, and so on; waiters are of the same workloads."""
    return f"web-{container % 3}"
