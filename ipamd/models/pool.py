"""Pools: which addresses ipamd gives, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ipamd.models.address import MAX_LENGTH, AddressRange, IPAddress, IPNetwork, address_in

DEFAULT_SPACE: Final = "default"
DEFAULT_CLUSTER: Final = "default"
DEFAULT_COOLDOWN: Final = 60
DEFAULT_LEASE: Final = 64
DEFAULT_OWNER_KEEP: Final = 86_400
DEFAULT_BLOCK_LENGTH: Final = MappingProxyType({4: 26, 6: 122})
LARGEST_BLOCK_BITS: Final = 10
"""A block has at most 2 ** this many addresses: each change reads and writes all of its state."""


class PoolState(StrEnum):
    """A `draining` pool keeps its allocations and gives nothing new."""

    ACTIVE = "active"
    DRAINING = "draining"


class Affinity(StrEnum):
    """Whether a block belongs to the node that took from it first."""

    ANY = "any"
    NODE = "node"


MAIN_TABLE: Final = 254
"""The kernel's table of a route that names none."""

LINK_SCOPE: Final = 253
"""The kernel's scope of a route whose destination is on the link, without a gateway."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route for containers.

    The optional keys are those of the specification (CNI 1.1.0, "Result types").
    """

    dst: IPNetwork
    gw: IPAddress | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None

    @property
    def destination(self) -> tuple[IPNetwork, int, int]:
        """Where it leads, by which table, at which priority: the kernel takes one route for each."""
        return self.dst, self.table or MAIN_TABLE, self.priority or 0


@dataclass(frozen=True, slots=True)
class Dns:
    """The DNS settings of containers (CNI "dns")."""

    nameservers: tuple[str, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)


@dataclass(frozen=True, slots=True)
class Selectors:
    """Who may use a pool: everybody if empty.

    All given selectors must match: of a list one, of labels all.
    """

    clusters: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    node_labels: Mapping[str, str] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A subnet with its rules. Its name is unique over all spaces.

    `block_length` is the prefix length of its blocks, and `cooldown` is in seconds. With a `prefix_length` it
    gives prefixes of that length or shorter, and no addresses. `gateway` is what
    containers get, None for none. With affinity `node`, `borrow` allows a node single addresses out of
    another node's block. A node may have `lease` free seats of it in advance. If the pool is `sticky`, an
    address that cools down is only for the workload that had it. An owner keeps its address for `owner_keep`
    seconds after its last holder left. `revision` is that of the catalogue when the pool last changed.
    """

    name: str
    subnet: IPNetwork
    space: str = DEFAULT_SPACE
    ranges: tuple[AddressRange, ...] = ()
    exclusions: tuple[AddressRange, ...] = ()
    gateway: IPAddress | None = None
    gateway_on_link: bool = False
    routes: tuple[Route, ...] = ()
    dns: Dns = Dns()
    block_length: int
    prefix_length: int | None = None
    affinity: Affinity = Affinity.ANY
    cooldown: int = DEFAULT_COOLDOWN
    state: PoolState = PoolState.ACTIVE
    priority: int = 0
    auto_assign: bool = True
    masquerade: bool = False
    borrow: bool = True
    lease: int = DEFAULT_LEASE
    sticky: bool = False
    owner_keep: int = DEFAULT_OWNER_KEEP
    selectors: Selectors = Selectors()
    revision: int = 0

    @property
    def family(self) -> int:
        return self.subnet.version

    def is_announced_in(self, cluster: str) -> bool:
        """Whether the pod network of a cluster carries this pool: its blocks belong to nodes."""
        clusters = self.selectors.clusters
        return self.affinity is Affinity.NODE and (not clusters or cluster in clusters)

    @property
    def lends(self) -> bool:
        """Whether a node may take single addresses out of any block."""
        return (self.borrow and self.prefix_length is None) or self.affinity is Affinity.ANY

    @property
    def given_length(self) -> int:
        """The length of what it gives: of an address, or of its prefixes."""
        return MAX_LENGTH[self.family] if self.prefix_length is None else self.prefix_length

    @property
    def block_size(self) -> int:
        """How many addresses, or prefixes of its own length, one block has."""
        return 1 << (self.given_length - self.block_length)

    def number_of(self, address: IPAddress) -> int:
        """The number of an address: its value. In a pool of prefixes, without the bits behind the prefix."""
        return int(address) if self.prefix_length is None else int(address) >> self.left_out

    def address_of(self, number: int) -> IPAddress:
        """The address with a number; in a pool of prefixes, the first one of the prefix."""
        return address_in(self.family, number if self.prefix_length is None else number << self.left_out)

    def addresses_of(self, first: int, last: int) -> AddressRange:
        """The addresses of the numbers from `first` to `last`."""
        end = ((last + 1) << self.left_out) - 1
        return AddressRange(self.address_of(first), address_in(self.family, end))

    def count_of(self, prefix_length: int | None) -> int:
        """How many numbers an address has, or a prefix of a length that this pool gives."""
        return 1 if prefix_length is None else 1 << (self.given_length - prefix_length)

    @property
    def first_number(self) -> int:
        return self.number_of(self.subnet.network_address)

    @property
    def last_number(self) -> int:
        return self.number_of(self.subnet.broadcast_address)

    def block_of(self, number: int) -> int:
        """The number of the block that contains a number: the first number of the block."""
        return number & -self.block_size

    def whole_numbers(self, addresses: AddressRange) -> tuple[int, int]:
        """The first and the last number of which a range has all addresses: of none, the last comes first."""
        bits = self.left_out
        beyond = (1 << bits) - 1
        return (int(addresses.first) + beyond) >> bits, ((int(addresses.last) + 1) >> bits) - 1

    def numbers_of(self, addresses: AddressRange) -> range:
        """The numbers of which a range has any address."""
        return range(self.number_of(addresses.first), self.number_of(addresses.last) + 1)

    def numbers_in_block(self, addresses: AddressRange, block: int) -> range:
        """Those of them that are in a block. What an earlier pool of this name gave may be much larger."""
        numbers = self.numbers_of(addresses)
        return range(max(numbers.start, block), min(numbers.stop, block + self.block_size))

    @property
    def left_out(self) -> int:
        """The bits of an address that its number has not."""
        return MAX_LENGTH[self.family] - self.given_length
