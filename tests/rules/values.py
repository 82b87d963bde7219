"""What the tables are written with: the domain's values, in as few words as a case needs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any, Final

import pytest

from ipamd.addressing.block import effective_block_length, held_bits
from ipamd.addressing.gateway import default_gateway
from ipamd.addressing.ranges import Spans
from ipamd.backends.conformance.examples import allocation
from ipamd.backends.interface import BlockId, BlockOwner, BlockSearch, Found, Locked, RememberedRelease
from ipamd.engine.allocation.call import AllocateCall, ReleaseCall
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.catalogue import Catalogue
from ipamd.models.address import AddressRange, IPAddress, address_in
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.block import HELD, Block, new_block
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import Identity, Owner, digest_of
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import CallOrder
from ipamd.models.node import Node, NodeKey
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.reservation import Reservation

NOW: Final[Instant] = 1_700_000_000 * SECOND
HERE: Final = NodeKey("default", "here")
THERE: Final = NodeKey("default", "there")
DEFAULT: Final = "the first usable address"

BlocksThere = Mapping[BlockOwner | str, Sequence[Block]]
"""What each search finds: by whose blocks it looks for, or by the first address of the block it names."""


def table(names: str, rows: Mapping[str, Sequence[object]]) -> pytest.MarkDecorator:
    """Make a test of each row; what the row says of itself is the test's name."""
    return pytest.mark.parametrize(names, [pytest.param(*row, id=said) for said, row in rows.items()])


def ago(seconds: int) -> Instant:
    return NOW - seconds * SECOND


def addresses(text: str) -> AddressRange:
    return AddressRange.parse(text)


def pool(
    name: str = "pods",
    subnet: str = "10.0.0.0/24",
    *,
    ranges: Sequence[str] = (),
    exclusions: Sequence[str] = (),
    gateway: str | None = DEFAULT,
    block_length: int | None = None,
    **rules: Any,
) -> Pool:
    """A pool; a /24 of four blocks of 64 unless something else is said."""
    network = ip_network(subnet)
    return Pool(
        name=name,
        subnet=network,
        ranges=tuple(map(addresses, ranges)),
        exclusions=tuple(map(addresses, exclusions)),
        gateway=default_gateway(network) if gateway == DEFAULT else ip_address(gateway) if gateway else None,
        block_length=effective_block_length(network, block_length),
        **rules,
    )


def reserved(what: str, to: str | None = None, *, owner: str | None = None, **more: Any) -> Reservation:
    """A reservation for a workload (`namespace/name`), an owner, or nobody."""
    namespace, _, name = to.partition("/") if to else (None, None, None)
    kept = addresses(what)
    return Reservation(
        id=int(kept.first), addresses=kept, namespace=namespace, name=name, owner=owner, **more
    )


def catalogue(*entries: Pool | Reservation | Node) -> Catalogue:
    """What admins decided, at revision 1."""
    return Catalogue(
        Snapshot(
            revision=1,
            pools={each.name: each for each in entries if isinstance(each, Pool)},
            reservations={each.id: each for each in entries if isinstance(each, Reservation)},
            nodes={each.key: each for each in entries if isinstance(each, Node)},
        )
    )


def container(name: str = "c1", *, node: str = "here", cluster: str = "default") -> Identity:
    return Identity(cluster, "net", node, name, "eth0")


def owner(name: str) -> Owner:
    return Owner(name, digest_of(name))


def request(
    *pool_names: str | Sequence[str],
    holder: Identity | Owner | None = None,
    wants: Sequence[str] = (),
    workload: str | None = None,
    **more: Any,
) -> AllocationRequest:
    """A request for an address of each of these pools, or of one of several alternatives."""
    namespace, _, name = workload.partition("/") if workload else (None, None, None)
    return AllocationRequest(
        holder=container() if holder is None else holder,
        pool_names=tuple((each,) if isinstance(each, str) else tuple(each) for each in pool_names),
        requested=tuple(map(ip_address, wants)),
        workload=Workload(namespace, name),
        **more,
    )


def moment(at: int, boot: int = 1) -> CallOrder:
    return CallOrder(boot, at)


def add(name: str = "c1", *pool_names: str | Sequence[str], at: int = 10, **more: Any) -> AllocateCall:
    """An ADD of a container, issued at a moment of its node's first boot."""
    asked = request(*pool_names, holder=container(name), **more)
    return AllocateCall(asked, moment(at), asked.digest, asked.node_key)


def delete(name: str = "c1", *, at: int | None = 20, **more: Any) -> ReleaseCall:
    """A DEL of a container; None: it does not say when it was issued."""
    order = moment(at) if at is not None else None
    return ReleaseCall(Release(digest=container(name).digest, node=HERE, **more), order, order)


def held(address: str, by: str = "c1", *, taken: int = 10, **more: Any) -> Allocation:
    """A container's time with an address, which its ADD took and no other was told of."""
    order = moment(taken)
    given: dict[str, Any] = {
        "id": int(ip_address(address)),
        "holder": container(by),
        "taken": order,
        "repeated": order,
    }
    return allocation(address, **(given | more))


def remembered(at: int, *, boot: int = 1, undo: bool = False, by: str = "c1") -> RememberedRelease:
    return RememberedRelease(container(by).digest, moment(at, boot), undo, NOW + SECOND)


def found(
    *known: Allocation | RememberedRelease, busy: Iterable[str] = (), calls: Iterable[str] = ()
) -> Found:
    """What a transaction knows of holders: what they have, what is remembered, whom another is about."""
    rows: dict[bytes, list[Allocation]] = {container(name).digest: [] for name in calls}
    releases: dict[bytes, list[RememberedRelease]] = {}
    for each in known:
        if isinstance(each, Allocation):
            rows.setdefault(each.digest, []).append(each)
        else:
            releases.setdefault(each.digest, []).append(each)
    return Found(rows, releases, frozenset(container(name).digest for name in busy))


def block(
    first: str,
    *,
    of: str = "pods",
    node: NodeKey | None = None,
    size: int = 64,
    taken: Sequence[str] = (),
    freed: Mapping[str, Instant] | None = None,
    freed_all: Instant | None = None,
) -> Block:
    """A block nobody has had an address of, but for what is said; `taken` are ranges of held addresses."""
    number = int(ip_address(first))
    made = new_block(of, number, size, node)
    if freed_all is not None:
        made.free_since = array("q", [freed_all] * size)
    for address, since in (freed or {}).items():
        made.free_since[int(ip_address(address)) - number] = since
    for each in map(addresses, taken):
        for value in range(int(each.first), int(each.last) + 1):
            made.free_since[value - number] = HELD
    made.last_freed = max((since for since in made.free_since if since != HELD), default=0)
    return replace(made, allocated=held_bits(made).bit_count())


def answer(search: BlockSearch, there: BlocksThere, contended: Set[BlockOwner | str]) -> Locked:
    """What one search finds; it passes over something where others hold what it looks for."""
    if isinstance(search, BlockId):
        named = str(address_in(4, search.first))
        return Locked(deepcopy(there.get(named, ())), named in contended)
    new = [each for each in there.get(search.owner, ()) if each.first not in search.but_not]
    of_pool = [each for each in new if each.pool == search.pool]
    return Locked(deepcopy(of_pool[: search.limit]), search.owner in contended)


def searched(plan: Plan, there: BlocksThere, contended: Set[BlockOwner | str] = frozenset()) -> Plan:
    """A plan that has had as many searches as it needs."""
    while searches := plan.searches():
        plan.receive(searches, [answer(search, there, contended) for search in searches])
    return plan


def spans(family: int, values: Spans) -> str:
    """Addresses as people write them: `10.0.0.2-10.0.0.254, 10.0.1.1`."""
    return ", ".join(
        str(address_in(family, first)) + (f"-{address_in(family, last)}" if first != last else "")
        for first, last in values
    )


def text(value: IPAddress | int | None) -> str | None:
    """An address as it is written, None if there is none."""
    return None if value is None else str(ip_address(value))
