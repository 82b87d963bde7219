"""Leases in SQL: the rows of nodes and seats, and the allocations that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, func, select, text, true, update

from ipamd.backends.interface import Changes
from ipamd.backends.sql import statements
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.lease_rows import lease_of, lease_values, seat_of, seat_values
from ipamd.backends.sql.schema import ALLOCATION, ALLOCATION_COLUMNS, LEASE, LEASE_CONFIGURATION, SEAT
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey, node_of_seats, seat_owner
from ipamd.models.node import NodeKey

LEASES: Final = Statement(select(LEASE).order_by(LEASE.c.cluster, LEASE.c.node), ())
SEATS: Final = Statement(
    select(SEAT)
    .where(SEAT.c.cluster == bindparam("of_cluster"), SEAT.c.node == bindparam("of_node"))
    .order_by(SEAT.c.number),
    ("of_cluster", "of_node"),
)
CONFIGURATION: Final = Statement(
    select(LEASE_CONFIGURATION.c.configuration).where(LEASE_CONFIGURATION.c.digest == bindparam("of_digest")),
    ("of_digest",),
)
SAVE_LEASE: Final = statements.replaced(LEASE)
SAVE_SEAT: Final = statements.replaced(SEAT)
SAVE_CONFIGURATION: Final = statements.replaced(LEASE_CONFIGURATION)
DROP_SEAT: Final = Statement(
    delete(SEAT).where(
        SEAT.c.cluster == bindparam("of_cluster"),
        SEAT.c.node == bindparam("of_node"),
        SEAT.c.number == bindparam("of_number"),
    ),
    ("of_cluster", "of_node", "of_number"),
)


NOTED_LEASES: Final = Statement(
    select(LEASE).where(LEASE.c.noted.is_not(None)).order_by(LEASE.c.cluster, LEASE.c.node), ()
)
RECALLED_SEATS: Final = Statement(
    select(SEAT.c.cluster, SEAT.c.node, SEAT.c.number)
    .where(text("recalled"))
    .order_by(SEAT.c.cluster, SEAT.c.node, SEAT.c.number),
    (),
)
NODES_WITH_SEATS: Final = Statement(select(SEAT.c.cluster, SEAT.c.node).distinct(), ())
RECALL_SEAT: Final = Statement(
    update(SEAT)
    .where(
        SEAT.c.cluster == bindparam("of_cluster"),
        SEAT.c.node == bindparam("of_node"),
        SEAT.c.number == bindparam("of_number"),
    )
    .values(recalled=true()),
    ("of_cluster", "of_node", "of_number"),
)


@lru_cache
def seats_of_pools(length: int) -> Statement:
    """Whose seats have addresses of some pools, and how many: free ones by their owner."""
    keys, names = statements.numbered(length)
    whose = (ALLOCATION.c.owner, ALLOCATION.c.cluster, ALLOCATION.c.node)
    return Statement(
        select(*whose, func.count())
        .where(ALLOCATION.c.pool.in_(keys), ALLOCATION.c.seat.is_not(None))
        .group_by(*whose),
        names,
    )


@lru_cache
def leases_of(length: int) -> Statement:
    """The leases of some nodes of a cluster."""
    keys, names = statements.numbered(length)
    return Statement(
        select(LEASE).where(LEASE.c.cluster == bindparam("of_cluster"), LEASE.c.node.in_(keys)),
        ("of_cluster", *names),
    )


@lru_cache
def pinned_to(length: int) -> Statement:
    """The live allocations of containers on some seats of a node."""
    keys, names = statements.numbered(length)
    return Statement(
        select(*ALLOCATION_COLUMNS).where(
            ALLOCATION.c.cluster == bindparam("of_cluster"),
            ALLOCATION.c.node == bindparam("of_node"),
            ALLOCATION.c.seat.in_(keys),
            ALLOCATION.c.seat.is_not(None),
        ),
        ("of_cluster", "of_node", *names),
    )


async def leases(session: DatabaseSession, node: NodeKey | None) -> list[Lease]:
    """The leases of all nodes, or of one."""
    if node is not None:
        return list((await leases_by_node(session, [node])).values())
    return [lease_of(row) for row in await session.fetch(LEASES)]


async def leases_by_node(session: DatabaseSession, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
    """The leases of those nodes that have one."""
    found: dict[NodeKey, Lease] = {}
    for cluster in dict.fromkeys(node.cluster for node in nodes):
        for names in statements.in_pieces([node.name for node in nodes if node.cluster == cluster]):
            rows = await session.fetch(leases_of(len(names)), cluster, *names)
            found |= {lease.node: lease for lease in map(lease_of, rows)}
    return found


async def seats(session: DatabaseSession, node: NodeKey) -> list[Seat]:
    """The seats of a node, by number."""
    return [seat_of(row) for row in await session.fetch(SEATS, *node)]


async def seat_rows(session: DatabaseSession, node: NodeKey) -> list[Allocation]:
    """The live allocations of a node's seats."""
    keys = [SeatKey(node, seat.number) for seat in await seats(session, node)]
    found = await pinned(session, keys)
    for digests in statements.in_pieces([seat_owner(key).digest for key in keys]):
        rows = await session.fetch(statements.live_by_digest(len(digests)), *digests)
        found += [allocation_of(row) for row in rows]
    return found


async def pinned(session: DatabaseSession, keys: Sequence[SeatKey]) -> list[Allocation]:
    """The live allocations of containers on some seats."""
    found = []
    for node in dict.fromkeys(key.node for key in keys):
        for numbers in statements.in_pieces([key.number for key in keys if key.node == node]):
            rows = await session.fetch(pinned_to(len(numbers)), *node, *numbers)
            found += [allocation_of(row) for row in rows]
    return found


async def seat_counts(session: DatabaseSession, pools: Sequence[str]) -> Mapping[NodeKey, SeatCount]:
    """The addresses of some pools that belong to seats, by node."""
    found: dict[NodeKey, SeatCount] = {}
    for names in statements.in_pieces(list(dict.fromkeys(pools))) if pools else ():
        for owner, cluster, name, count in await session.fetch(seats_of_pools(len(names)), *names):
            node = NodeKey(cluster, name) if owner is None else node_of_seats(owner)
            known = found.get(node, SeatCount())
            free, taken = (0, count) if owner is None else (count, 0)
            found[node] = SeatCount(known.free + free, known.taken + taken)
    return found


async def recalled_seats(session: DatabaseSession) -> list[SeatKey]:
    """The seats that are recalled one by one."""
    rows = await session.fetch(RECALLED_SEATS)
    return [SeatKey(NodeKey(cluster, node), number) for cluster, node, number in rows]


async def nodes_with_seats(session: DatabaseSession) -> frozenset[NodeKey]:
    """The nodes that have seats."""
    return frozenset(NodeKey(*row) for row in await session.fetch(NODES_WITH_SEATS))


async def noted(session: DatabaseSession) -> list[Lease]:
    """The leases for which another boot or store is noted."""
    return [lease_of(row) for row in await session.fetch(NOTED_LEASES)]


async def configurations(session: DatabaseSession, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
    """Configurations of seats that are stored."""
    found = {digest: await session.fetch(CONFIGURATION, digest) for digest in digests}
    return {digest: rows[0][0] for digest, rows in found.items() if rows}


async def write(session: DatabaseSession, changes: Changes) -> None:
    """Write what changes of leases, in the order of nodes: so do all who write several."""
    for digest, configuration in sorted(changes.configurations.items()):
        await session.run(SAVE_CONFIGURATION, digest, configuration)
    if changes.leases:
        ordered = sorted(changes.leases, key=lambda each: each.node)
        await session.run_many(SAVE_LEASE, [lease_values(lease) for lease in ordered])
    if changes.seats:
        await session.run_many(SAVE_SEAT, [seat_values(seat) for seat in changes.seats])
    for (cluster, node), number in changes.recalled:
        await session.run(RECALL_SEAT, cluster, node, number)
    for (cluster, node), number in changes.returned:
        await session.run(DROP_SEAT, cluster, node, number)
