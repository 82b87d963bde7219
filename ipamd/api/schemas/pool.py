"""A pool as JSON: to create it, to change it by a merge patch, to show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.addressing.block import effective_block_length
from ipamd.addressing.gateway import default_gateway
from ipamd.api.schemas.text import Address, Document, Name, Prefix, Range, Word, without_nulls
from ipamd.models.address import AddressRange, IPAddress, IPNetwork, parse_address, parse_network
from ipamd.models.documents import pool_document, route_document
from ipamd.models.errors import InvalidValue
from ipamd.models.limits import LONGEST_NAME, LONGEST_OWNER_KEEP, MOST_LEASED, MOST_ROUTES
from ipamd.models.pool import (
    DEFAULT_COOLDOWN,
    DEFAULT_LEASE,
    DEFAULT_OWNER_KEEP,
    DEFAULT_SPACE,
    Affinity,
    Dns,
    Pool,
    PoolState,
    Route,
    Selectors,
)

MOST_RANGES = 1024
MOST_WORDS = 1024

Unsigned = Annotated[int, Field(ge=0, le=(1 << 32) - 1)]
Words = Annotated[list[Word], Field(max_length=MOST_WORDS)]
Ranges = Annotated[list[Range], Field(max_length=MOST_RANGES)]


class RouteDocument(Document):
    """A route of a pool. Without `gw` containers use the pool's gateway."""

    dst: Prefix
    gw: Address | None = None
    mtu: Unsigned | None = None
    advmss: Unsigned | None = None
    priority: Unsigned | None = None
    table: Unsigned | None = None
    scope: Annotated[int, Field(ge=0, le=255)] | None = None

    def value(self) -> Route:
        """The same as a value."""
        given = without_nulls(self)
        dst = parse_network(given.pop("dst"))
        gw = parse_address(given.pop("gw")) if "gw" in given else None
        if gw is not None and gw.version != dst.version:
            raise InvalidValue("gw", f"{gw} is not in the address family of {dst}")
        return Route(dst, gw, **given)


class DnsDocument(Document):
    """What a container's resolver is told."""

    nameservers: Annotated[list[Address], Field(max_length=64)] | None = None
    domain: Word | None = None
    search: Annotated[list[Word], Field(max_length=64)] | None = None
    options: Annotated[list[Word], Field(max_length=64)] | None = None


class SelectorsDocument(Document):
    """Who may use a pool. All given selectors must match: of a list one entry, of labels all."""

    clusters: Words | None = None
    networks: Words | None = None
    nodes: Words | None = None
    node_labels: (
        Annotated[dict[Word, Annotated[str, Field(max_length=LONGEST_NAME)]], Field(max_length=64)] | None
    ) = None
    namespaces: Words | None = None


class _Settings(Document):
    """The settings of a pool, which may be changed later. Null means the default."""

    ranges: Ranges | None = None
    exclusions: Ranges | None = None
    gateway: Address | None = Field(
        None, description="Absent: the first usable address. Null: containers are told none."
    )
    gateway_on_link: bool | None = Field(
        None,
        description="Whether a gateway outside the subnet is meant: containers get a route to it.",
    )
    routes: Annotated[list[RouteDocument], Field(max_length=MOST_ROUTES)] | None = None
    dns: DnsDocument | None = None
    block_size: Annotated[int, Field(ge=0, le=128)] | None = Field(
        None,
        description="The prefix length of the pool's blocks; default 26 or 122. In a pool of prefixes a block"
        " has 64 of them by default.",
    )
    prefix_length: Annotated[int, Field(ge=1, le=127)] | None = Field(
        None,
        description="The pool gives prefixes of this length or shorter, and no addresses. Null: addresses.",
    )
    affinity: Literal["any", "node"] | None = None
    cooldown: Annotated[int, Field(ge=0, le=31_536_000, description="Seconds.")] | None = None
    state: Literal["active", "draining"] | None = None
    priority: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)] | None = None
    auto_assign: bool | None = None
    masquerade: bool | None = None
    borrow: bool | None = Field(
        None,
        description="With affinity `node`: whether a node may take single addresses out of another's block.",
    )
    lease: Annotated[int, Field(ge=0, le=MOST_LEASED)] | None = Field(
        None, description="How many free addresses a node may hold in advance; 0: none. Default 64."
    )
    sticky: bool | None = Field(
        None,
        description="Whether a workload that comes back within the cooldown gets the address that it had, and"
        " nobody else does.",
    )
    owner_keep: Annotated[int, Field(ge=0, le=LONGEST_OWNER_KEEP)] | None = Field(
        None,
        description="Seconds for which an owner keeps its address after its last holder left. Default 86400.",
    )
    selectors: SelectorsDocument | None = None


class NewPool(_Settings):
    """A new pool."""

    name: Name
    space: Name = DEFAULT_SPACE
    subnet: Prefix

    def value(self) -> Pool:
        """The pool as a value. Raises InvalidValue."""
        subnet = parse_network(self.subnet)
        if "gateway" in self.model_fields_set:
            gateway = parse_address(self.gateway) if self.gateway is not None else None
        else:
            gateway = _default_gateway(subnet, self.prefix_length)
        with _field("block_size"):
            block_length = effective_block_length(subnet, self.block_size, self.prefix_length)
        if self.sticky and self.cooldown == 0:
            raise InvalidValue(
                "sticky", "a sticky pool keeps an address for its cooldown, which is 0 seconds"
            )
        return Pool(
            name=self.name,
            space=self.space,
            subnet=subnet,
            ranges=tuple(map(AddressRange.parse, self.ranges or ())),
            exclusions=tuple(map(AddressRange.parse, self.exclusions or ())),
            gateway=gateway,
            gateway_on_link=bool(self.gateway_on_link),
            routes=tuple(route.value() for route in self.routes or ()),
            dns=_dns(self.dns or DnsDocument()),
            block_length=block_length,
            prefix_length=self.prefix_length,
            affinity=Affinity(self.affinity or Affinity.ANY),
            cooldown=DEFAULT_COOLDOWN if self.cooldown is None else self.cooldown,
            state=PoolState(self.state or PoolState.ACTIVE),
            priority=self.priority or 0,
            auto_assign=self.auto_assign is not False,
            masquerade=bool(self.masquerade),
            borrow=self.borrow is not False,
            lease=DEFAULT_LEASE if self.lease is None else self.lease,
            sticky=bool(self.sticky),
            owner_keep=DEFAULT_OWNER_KEEP if self.owner_keep is None else self.owner_keep,
            selectors=_selectors(self.selectors or SelectorsDocument()),
        )


class PoolPatch(_Settings):
    """A merge patch (RFC 7396): an absent field stays, null resets it. A null gateway means none.

    Name and space cannot be changed, but may be repeated.
    """

    name: Name | None = None
    space: Name | None = None
    subnet: Prefix | None = None

    def apply(self, pool: Pool) -> Pool:
        """The changed pool. Raises InvalidValue, and pydantic's ValidationError."""
        patch = self.model_dump(exclude_unset=True)
        for field in ("name", "space", "subnet"):
            if field in patch and patch[field] is None:
                raise InvalidValue(field, "cannot be null")
        for field in ("name", "space"):
            if field in patch and patch[field] != getattr(pool, field):
                raise InvalidValue(field, "cannot be changed: make another pool, and drain this one")
        merged = _merge(document_of(pool), patch)
        if self.prefix_length != pool.prefix_length and "prefix_length" in patch:
            _leave_default_shape(pool, merged, patch)
        if "gateway" in patch:
            merged["gateway"] = patch["gateway"]
        return NewPool.model_validate(merged).value()


class ShownRoute(TypedDict):
    """A route as it is shown, without absent fields."""

    dst: str
    gw: NotRequired[str]
    mtu: NotRequired[int]
    advmss: NotRequired[int]
    priority: NotRequired[int]
    table: NotRequired[int]
    scope: NotRequired[int]


class ShownDns(TypedDict):
    """What a container's resolver is told."""

    nameservers: list[str]
    domain: str | None
    search: list[str]
    options: list[str]


class ShownSelectors(TypedDict):
    """Who may use a pool."""

    clusters: list[str]
    networks: list[str]
    nodes: list[str]
    node_labels: dict[str, str]
    namespaces: list[str]


class ShownPool(TypedDict):
    """A pool as it is shown."""

    name: str
    space: str
    subnet: str
    ranges: list[str]
    exclusions: list[str]
    gateway: str | None
    gateway_on_link: bool
    routes: list[ShownRoute]
    dns: ShownDns
    block_size: int
    prefix_length: int | None
    affinity: Literal["any", "node"]
    cooldown: int
    state: Literal["active", "draining"]
    priority: int
    auto_assign: bool
    masquerade: bool
    borrow: bool
    lease: int
    sticky: bool
    owner_keep: int
    selectors: ShownSelectors


def document_of(pool: Pool) -> ShownPool:
    """A pool as it is shown, and as `NewPool` takes it."""
    return cast(ShownPool, pool_document(pool))


def shown_route(route: Route) -> ShownRoute:
    """A route as it is shown."""
    return cast(ShownRoute, route_document(route))


def _dns(document: DnsDocument) -> Dns:
    return Dns(
        nameservers=tuple(document.nameservers or ()),
        domain=document.domain,
        search=tuple(document.search or ()),
        options=tuple(document.options or ()),
    )


def _selectors(document: SelectorsDocument) -> Selectors:
    return Selectors(
        clusters=tuple(document.clusters or ()),
        networks=tuple(document.networks or ()),
        nodes=tuple(document.nodes or ()),
        node_labels=dict(document.node_labels or {}),
        namespaces=tuple(document.namespaces or ()),
    )


def _leave_default_shape(pool: Pool, merged: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """Give a pool that changes what it gives the new defaults where it has the old ones."""
    if "block_size" not in patch and pool.block_length == effective_block_length(
        pool.subnet, None, pool.prefix_length
    ):
        del merged["block_size"]
    if "gateway" not in patch and pool.gateway == _default_gateway(pool.subnet, pool.prefix_length):
        del merged["gateway"]


def _default_gateway(subnet: IPNetwork, prefix_length: int | None) -> IPAddress | None:
    return default_gateway(subnet) if prefix_length is None else None


def _merge(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            own = merged.get(key)
            merged[key] = _merge(own if isinstance(own, dict) else {}, value)
        else:
            merged[key] = value
    return merged


@contextmanager
def _field(name: str) -> Iterator[None]:
    """Add the field to an error."""
    try:
        yield
    except ValueError as error:
        raise InvalidValue(name, str(error)) from None
