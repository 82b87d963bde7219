"""Reading, in SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from itertools import chain
from typing import Any, Protocol, TypeVar

from ipamd.backends.interface import NOT_ADDED_UP, HeldAddress, PodNetworkReading
from ipamd.backends.sql import (
    announcing,
    census,
    change_log,
    change_requests,
    holdings,
    leasing,
    owning,
    pages,
    prefixes,
    samples,
    statements,
    tallies,
)
from ipamd.backends.sql.catalogue import blocks_between, load
from ipamd.backends.sql.holds import uses as uses_of_holds
from ipamd.backends.sql.listing import Rows
from ipamd.backends.sql.pages import PageOf, allocations
from ipamd.backends.sql.pool_rows import pool_of
from ipamd.backends.sql.rows import block_of, number_bytes
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.backends.sql.tallies import read as read_tallies
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogPage, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestQuery
from ipamd.models.hold import HoldUse
from ipamd.models.holding import NodeHolding
from ipamd.models.identity import DIGEST_SIZE, Digest, container_part
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import NetworkPosition
from ipamd.models.query import (
    ALL_CONTACTS,
    AllocationPage,
    AllocationQuery,
    BlocksWanted,
    ContactQuery,
    Fill,
    HistoryQuery,
    OwnerQuery,
)
from ipamd.models.quota import Tally, TallyUse
from ipamd.models.sample import UsageSample

T = TypeVar("T")

Reading = Callable[[DatabaseSession], Coroutine[Any, Any, T]]


class Reader(Protocol):
    """Runs readings, each on one state of the database, never in the way of a writer."""

    def read(self, reading: Reading[T]) -> Awaitable[T]:
        """Run one reading to its end."""
        ...


class SqlLedger:
    """See `Ledger`. With `deferred`, lists go by terms, which the latest allocations lack yet."""

    def __init__(self, reader: Reader, *, deferred: bool = False) -> None:
        self._reader = reader
        self._deferred = deferred

    async def snapshot(self, known: Snapshot) -> Snapshot:
        return await self._reader.read(lambda session: load(session, known))

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        async def reading(session: DatabaseSession) -> list[Allocation]:
            wanted = await self._live(session, query, after)
            return await pages.whole(session, wanted, query.place, limit)

        return await self._reader.read(reading)

    async def bounded_page(self, query: AllocationQuery, after: int | None, limit: int) -> AllocationPage:
        async def reading(session: DatabaseSession) -> AllocationPage:
            wanted = await self._live(session, query, after)
            return await pages.bounded(session, wanted, query.place, limit)

        return await self._reader.read(reading)

    async def _live(self, session: DatabaseSession, query: AllocationQuery, after: int | None) -> PageOf:
        given = _filters(query)
        if query.pool is not None and query.address is None and query.between is None:
            given = {**await _addresses_of(session, query.pool), **given}
        return PageOf(rows=Rows.LIVE, given=given, after=after, deferred=self._deferred)

    async def prefixes(self) -> Mapping[str, Mapping[int, int]]:
        return await self._reader.read(prefixes.counted)

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        wanted = self._past(query, before)
        return await self._reader.read(lambda session: pages.whole(session, wanted, _latest_first, limit))

    async def bounded_history(self, query: HistoryQuery, before: int | None, limit: int) -> AllocationPage:
        wanted = self._past(query, before)
        return await self._reader.read(lambda session: pages.bounded(session, wanted, _latest_first, limit))

    def _past(self, query: HistoryQuery, before: int | None) -> PageOf:
        begun_by = [moment for moment in (query.at, query.before) if moment is not None]
        held_after = [moment for moment in (query.at, query.after) if moment is not None]
        given = _given(
            space=query.in_space,
            address=query.address and query.address.packed,
            name=query.name,
            node=query.node,
            namespace=query.namespace,
            cluster=query.cluster,
            held_for=query.owner,
            begun_by=min(begun_by, default=None),
            held_after=max(held_after, default=None),
        )
        return PageOf(rows=Rows.PAST, given=given, after=before, deferred=self._deferred)

    async def log(self, query: LogQuery, before: int | None, limit: int) -> LogPage:
        return await self._reader.read(lambda session: change_log.page(session, query, before, limit))

    async def requests(self, query: RequestQuery, before: int | None, limit: int) -> Sequence[ChangeRequest]:
        return await self._reader.read(lambda session: change_requests.page(session, query, before, limit))

    async def request(self, number: int) -> ChangeRequest | None:
        return await self._reader.read(lambda session: change_requests.read(session, number))

    async def owners(self, query: OwnerQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        return await self._reader.read(lambda session: owning.owners(session, query, after, limit))

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        return await self._reader.read(lambda session: owning.of_addresses(session, addresses))

    async def owners_away(self, before: Mapping[str, Instant], limit: int) -> Sequence[Allocation]:
        return await self._reader.read(lambda session: owning.away(session, before, limit))

    async def away(self, pool: str | None = None) -> Mapping[str, int]:
        return await self._reader.read(lambda session: owning.count_away(session, pool))

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        return await self._reader.read(
            lambda session: allocations(session, statements.live_by_digest(1), digest)
        )

    async def allocation(self, allocation: int) -> Allocation | None:
        return await self._first(statements.ALLOCATION_BY_ID, allocation)

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        return await self._first(statements.ALLOCATION_BY_KEY, key)

    async def _first(self, statement: Statement, *values: Any) -> Allocation | None:
        rows = await self._reader.read(lambda session: allocations(session, statement, *values))
        return rows[0] if rows else None

    async def fill(
        self, pools: Sequence[str], allocated: Mapping[str, int] = NOT_ADDED_UP
    ) -> Mapping[str, Fill]:
        others = [(pool,) for pool in pools if pool not in allocated]
        known = [(pool,) for pool in pools if pool in allocated]

        async def reading(session: DatabaseSession) -> dict[str, Fill]:
            rows = [
                *await _in_pieces(session, statements.fill_of_pools, others),
                *await _in_pieces(session, statements.rest_of_fill, known),
            ]
            return {
                pool: Fill(
                    allocated[pool] if pool in allocated else int(added_up),
                    last_freed,
                    next_free,
                    int(leased or 0),
                )
                for pool, last_freed, next_free, leased, added_up in rows
                if last_freed is not None
            }

        return await self._reader.read(reading)

    async def allocated(self) -> Mapping[str, int]:
        rows = await self._reader.read(lambda session: session.fetch(statements.ALLOCATED))
        return {pool: int(allocated) for pool, allocated in rows}

    async def samples(self, pool: str, begin: Instant, end: Instant, limit: int) -> Sequence[UsageSample]:
        return await self._reader.read(lambda session: samples.read(session, pool, begin, end, limit))

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        async def reading(session: DatabaseSession) -> list[Block]:
            freed = map(block_of, await session.fetch(statements.BLOCKS_FREED_AFTER, pool, freed_after))
            there = [] if between is None else await blocks_between(session, pool, *between)
            found = {block.first: block for block in chain(freed, there)}
            return [found[first] for first in sorted(found)]

        return await self._reader.read(reading)

    async def blocks_of(self, wanted: Sequence[BlocksWanted]) -> Mapping[str, Sequence[Block]]:
        moments = [(each.pool, each.freed_after) for each in wanted]
        stretches = [
            (each.pool, number_bytes(first), number_bytes(last))
            for each in wanted
            for first, last in each.stretches
        ]

        async def reading(session: DatabaseSession) -> dict[str, list[Block]]:
            rows = [
                *await _in_pieces(session, statements.blocks_freed_after, moments),
                *await _in_pieces(session, statements.blocks_in, stretches),
            ]
            blocks = {(block.pool, block.first): block for block in map(block_of, rows)}
            found: dict[str, list[Block]] = {}
            for key in sorted(blocks):
                found.setdefault(key[0], []).append(blocks[key])
            return found

        return await self._reader.read(reading)

    async def allocated_in(self, pool: str, stretches: Sequence[tuple[int, int]]) -> Sequence[int]:
        async def reading(session: DatabaseSession) -> list[int]:
            sums: list[int] = []
            for begin in range(0, len(stretches), statements.MOST_STRETCHES):
                piece = statements.padded(stretches[begin : begin + statements.MOST_STRETCHES])
                bounds = chain.from_iterable((number_bytes(a), number_bytes(b)) for a, b in piece)
                rows = await session.fetch(statements.allocated_in(len(piece)), pool, *bounds)
                found = {int(number): int(allocated) for number, allocated in rows}
                sums += [found.get(number, 0) for number in range(len(piece))]
            return sums[: len(stretches)]

        return await self._reader.read(reading)

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        part = query.part and f"%{statements.escaped(query.part)}%"
        given = _given(cluster=query.cluster, name=query.name, part=part, limit=query.limit)
        statement = statements.contacts(tuple(given), goes_on=query.after is not None)
        rows = await self._reader.read(
            lambda session: session.fetch(statement, *given.values(), *(query.after or ()))
        )
        return {NodeKey(cluster, node): heard for cluster, node, heard in rows}

    async def uses(self) -> Mapping[int, Instant]:
        rows = await self._reader.read(lambda session: session.fetch(statements.USES))
        return {int(token): int(used) for token, used in rows}

    async def positions(self) -> Mapping[str, NetworkPosition]:
        return await self._reader.read(announcing.positions)

    async def pod_network(
        self, cluster: str, known: Snapshot, after: int | None, only: Sequence[str] | None = None
    ) -> PodNetworkReading:
        async def reading(session: DatabaseSession) -> PodNetworkReading:
            return await announcing.pod_network(session, cluster, await load(session, known), after, only)

        return await self._reader.read(reading)

    async def leases(self, node: NodeKey | None) -> Sequence[Lease]:
        return await self._reader.read(lambda session: leasing.leases(session, node))

    async def seats(self, node: NodeKey) -> Sequence[Seat]:
        return await self._reader.read(lambda session: leasing.seats(session, node))

    async def seat_rows(self, node: NodeKey) -> Sequence[Allocation]:
        return await self._reader.read(lambda session: leasing.seat_rows(session, node))

    async def seat_counts(self, pools: Sequence[str]) -> Mapping[NodeKey, SeatCount]:
        return await self._reader.read(lambda session: leasing.seat_counts(session, pools))

    async def recalled_seats(self) -> Sequence[SeatKey]:
        return await self._reader.read(leasing.recalled_seats)

    async def nodes_with_seats(self) -> Set[NodeKey]:
        return await self._reader.read(leasing.nodes_with_seats)

    async def noted_leases(self) -> Sequence[Lease]:
        return await self._reader.read(leasing.noted)

    async def configurations(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        return await self._reader.read(lambda session: leasing.configurations(session, digests))

    async def held_on(self, node: NodeKey, after: int, limit: int) -> Sequence[Allocation]:
        return await self._reader.read(
            lambda session: census.held_on(session, node, after, limit, deferred=self._deferred)
        )

    async def holdings(
        self, nodes: Sequence[NodeKey], pools: Sequence[str], most: int
    ) -> Mapping[NodeKey, NodeHolding]:
        return await self._reader.read(
            lambda session: holdings.holdings(session, nodes, pools, most, deferred=self._deferred)
        )

    async def censuses(self, node: NodeKey | None) -> Sequence[Census]:
        return await self._reader.read(lambda session: census.censuses(session, node))

    async def tallies(self, quota: str, limit: int) -> Sequence[TallyUse]:
        return await self._reader.read(lambda session: tallies.most(session, quota, limit))

    async def used(self, tallies: Sequence[Tally]) -> Mapping[Tally, int]:
        return await self._reader.read(lambda session: read_tallies(session, tallies))

    async def most_used(self) -> Mapping[str, int]:
        return await self._reader.read(tallies.most_used)

    async def hold_uses(self, holds: Sequence[str] | None) -> Mapping[str, HoldUse]:
        return await self._reader.read(lambda session: uses_of_holds(session, holds))

    async def receipt_key(self) -> bytes:
        return await self._reader.read(census.receipt_key)

    async def blocks_of_node(self, pool: str, node: NodeKey) -> Sequence[Block]:
        rows = await self._reader.read(lambda session: session.fetch(statements.BLOCKS_OF_NODE, pool, *node))
        return [block_of(row) for row in rows]


def _filters(query: AllocationQuery) -> dict[str, Any]:
    container = query.container_id
    digests = container_part(container) if container is not None else None
    return _given(
        space=query.in_space,
        address=query.address and query.address.packed,
        first_address=query.between and query.between[0].packed,
        last_address=query.between and query.between[1].packed,
        digest_from=digests and digests.ljust(DIGEST_SIZE, b"\x00"),
        digest_to=digests and digests.ljust(DIGEST_SIZE, b"\xff"),
        container_id=container,
        owner=query.owner,
        namespace=query.namespace,
        name=query.name,
        node=query.node,
        network=query.network,
        cluster=query.cluster,
        pool=query.pool,
    )


async def _addresses_of(session: DatabaseSession, pool: str) -> dict[str, Any]:
    """Between which addresses those of a pool lie, which is how its allocations are found."""
    for known in map(pool_of, await session.fetch(statements.POOL_BY_NAME, pool)):
        first, last = known.subnet[0].packed, known.subnet[-1].packed
        return {"space": known.space, "first_address": first, "last_address": last}
    return {}


async def _in_pieces(
    session: DatabaseSession, statement: Callable[[int], Statement], keys: Sequence[tuple[Any, ...]]
) -> list[Sequence[Any]]:
    """The rows of all keys, from statements that each take some of them."""
    rows: list[Sequence[Any]] = []
    for begin in range(0, len(keys), statements.MOST_STRETCHES):
        piece = statements.padded(keys[begin : begin + statements.MOST_STRETCHES])
        rows += await session.fetch(statement(len(piece)), *chain.from_iterable(piece))
    return rows


def _latest_first(row: Allocation) -> tuple[int, int]:
    return -row.since, -(row.id or 0)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
