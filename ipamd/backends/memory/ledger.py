"""Reading from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice

from ipamd.backends.hold_rows import uses_of
from ipamd.backends.interface import NOT_ADDED_UP, HeldAddress, PodNetworkReading
from ipamd.backends.memory.tables import Tables
from ipamd.models.allocation import NEVER_CAME, Allocation, count_prefixes, youngest_holders
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogPage, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestQuery
from ipamd.models.hold import HoldUse
from ipamd.models.holding import NodeHolding, count_holdings
from ipamd.models.identity import Digest, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import NetworkPosition, NodeAddress, NodeBlock
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
from ipamd.models.quota import Tally, TallyUse, fullest, most_used
from ipamd.models.sample import UsageSample

Further = Callable[[Allocation, Allocation], bool]


class MemoryLedger:
    """See `Ledger`. Pages walk over the rows: who keeps a hundred thousand of them wants a database."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def snapshot(self, known: Snapshot) -> Snapshot:
        return self._tables.snapshot

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        rows = self._tables.allocations.rows
        live: Iterable[Allocation] = (row for row in rows.values() if row.until is None)
        if query.address is not None:
            live = self._tables.allocations.having(query.in_space or "", query.address)
        matching = sorted((row for row in live if _asked_for(row, query)), key=query.place)
        return self._beyond(after, matching, lambda row, last: query.place(row) > query.place(last))[:limit]

    async def prefixes(self) -> Mapping[str, Mapping[int, int]]:
        return count_prefixes(row for row in self._tables.allocations.rows.values() if row.until is None)

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        rows = self._tables.allocations.rows.values()
        matching = sorted((row for row in rows if _remembered(row, query)), key=_age, reverse=True)
        return self._beyond(before, matching, lambda row, last: _age(row) < _age(last))[:limit]

    async def bounded_page(self, query: AllocationQuery, after: int | None, limit: int) -> AllocationPage:
        return AllocationPage.of(await self.page(query, after, limit + 1), limit)

    async def bounded_history(self, query: HistoryQuery, before: int | None, limit: int) -> AllocationPage:
        return AllocationPage.of(await self.history(query, before, limit + 1), limit)

    def _beyond(self, last: int | None, rows: list[Allocation], further: Further) -> list[Allocation]:
        """The rest of a list beyond the last allocation of the page before; nothing if that is not known."""
        if last is None:
            return rows
        known = self._tables.allocations.rows.get(last)
        return [row for row in rows if known is not None and further(row, known)]

    async def log(self, query: LogQuery, before: int | None, limit: int) -> LogPage:
        latest_first = sorted(self._tables.log.items(), reverse=True)
        found = (entry for number, entry in latest_first if before is None or number < before)
        matching = list(islice(filter(query.matches, found), limit + 1))
        return LogPage(matching[:limit], matching[limit - 1].stored_id if len(matching) > limit else None)

    async def requests(self, query: RequestQuery, before: int | None, limit: int) -> Sequence[ChangeRequest]:
        latest_first = sorted(self._tables.requests.items(), reverse=True)
        found = (request for number, request in latest_first if before is None or number < before)
        return list(islice(filter(query.matches, found), limit))

    async def request(self, number: int) -> ChangeRequest | None:
        return self._tables.requests.get(number)

    async def owners(self, query: OwnerQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        rows = self._tables.allocations.rows.values()
        matching = sorted(filter(query.matches, rows), key=query.place)
        return self._beyond(after, matching, lambda row, last: query.place(row) > query.place(last))[:limit]

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        allocations = self._tables.allocations
        return [row for each in addresses for row in allocations.of_address(each.space, each.address)]

    async def owners_away(self, before: Mapping[str, Instant], limit: int) -> Sequence[Allocation]:
        rows = self._tables.allocations.rows.values()
        return list(islice((row for row in rows if _is_away(row, before.get(row.pool))), limit))

    async def away(self, pool: str | None = None) -> Mapping[str, int]:
        rows = self._tables.allocations.rows.values()
        live = (row for row in rows if row.until is None and row.away_since is not None)
        return Counter(row.pool for row in live if pool in (None, row.pool))

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        return self._tables.allocations.held_by(digest)

    async def allocation(self, allocation: int) -> Allocation | None:
        return self._tables.allocations.rows.get(allocation)

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        allocations = self._tables.allocations
        made = {position: row for (used, position), row in allocations.by_key.items() if used == key}
        return allocations.rows[made[min(made)]] if made else None

    async def fill(
        self, pools: Sequence[str], allocated: Mapping[str, int] = NOT_ADDED_UP
    ) -> Mapping[str, Fill]:
        blocks = self._tables.blocks
        return {
            pool: Fill(
                allocated=allocated[pool] if pool in allocated else self._allocated(pool),
                last_freed=max(block.last_freed for block in blocks.rows[pool].values()),
                next_free_since=blocks.longest_free(pool),
                leased=sum(block.leased for block in blocks.rows[pool].values()),
            )
            for pool in pools
            if blocks.rows.get(pool)
        }

    async def allocated(self) -> Mapping[str, int]:
        return {pool: self._allocated(pool) for pool, rows in self._tables.blocks.rows.items() if rows}

    def _allocated(self, pool: str) -> int:
        return sum(block.allocated for block in self._tables.blocks.rows[pool].values())

    async def samples(self, pool: str, begin: Instant, end: Instant, limit: int) -> Sequence[UsageSample]:
        known = sorted(self._tables.samples.items())
        found = (UsageSample(at, allocated) for (of, at), allocated in known if of == pool)
        return list(islice((sample for sample in found if begin <= sample.at < end), limit))

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        rows = self._tables.blocks.rows.get(pool, {})
        wanted = {first for first, block in rows.items() if block.last_freed > freed_after}
        if between is not None:
            wanted.update(block.first for block in self._tables.blocks.between(pool, *between))
        return self._tables.blocks_numbered(pool, sorted(wanted))

    async def blocks_of(self, wanted: Sequence[BlocksWanted]) -> Mapping[str, Sequence[Block]]:
        found = {each.pool: self._wanted(each) for each in wanted}
        return {pool: blocks for pool, blocks in found.items() if blocks}

    def _wanted(self, wanted: BlocksWanted) -> list[Block]:
        rows = self._tables.blocks.rows.get(wanted.pool, {})
        numbers = {
            first
            for first, block in rows.items()
            if block.last_freed > wanted.freed_after
            or any(begin <= first <= last for begin, last in wanted.stretches)
        }
        return self._tables.blocks_numbered(wanted.pool, sorted(numbers))

    async def allocated_in(self, pool: str, stretches: Sequence[tuple[int, int]]) -> Sequence[int]:
        blocks = self._tables.blocks
        return [sum(block.allocated for block in blocks.between(pool, *stretch)) for stretch in stretches]

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        return query.picked(self._tables.contacts)

    async def uses(self) -> Mapping[int, Instant]:
        return dict(self._tables.uses)

    async def positions(self) -> Mapping[str, NetworkPosition]:
        return dict(self._tables.announcing.positions)

    async def pod_network(
        self, cluster: str, known: Snapshot, after: int | None, only: Sequence[str] | None = None
    ) -> PodNetworkReading:
        announcing, snapshot = self._tables.announcing, self._tables.snapshot
        numbers = {each: number for each, number in announcing.numbers.items() if each.cluster == cluster}
        pools = [name for name, pool in snapshot.pools.items() if pool.is_announced_in(cluster)]
        blocks = [block for pool in pools for block in self._tables.blocks.rows.get(pool, {}).values()]
        live = [row for row in self._tables.allocations.rows.values() if row.until is None]
        singles = [(row.announced_for, row) for row in youngest_holders(live) if row.pool in pools]
        of_cluster = [(node, row) for node, row in singles if node is not None and node.cluster == cluster]
        return PodNetworkReading(
            announcing.positions.get(cluster, NetworkPosition()),
            announcing.forgotten.get(cluster, 0),
            snapshot,
            {each for each, number in numbers.items() if after is None or number > after},
            [
                NodeBlock(block.node.name, block.pool, block.first)
                for block in blocks
                if block.node is not None and block.node.cluster == cluster
            ],
            [NodeAddress(node.name, row.pool, row.address) for node, row in of_cluster if row.borrowed],
            [
                NodeAddress(node.name, row.pool, row.address)
                for node, row in of_cluster
                if isinstance(row.holder, Owner)
            ],
        )

    async def leases(self, node: NodeKey | None) -> Sequence[Lease]:
        rows = self._tables.leases.rows
        return [rows[key] for key in sorted(rows) if node in (None, key)]

    async def seats(self, node: NodeKey) -> Sequence[Seat]:
        return self._tables.leases.of_node(node)

    async def seat_rows(self, node: NodeKey) -> Sequence[Allocation]:
        return self._tables.seat_rows(node)

    async def seat_counts(self, pools: Sequence[str]) -> Mapping[NodeKey, SeatCount]:
        return self._tables.seat_counts(pools)

    async def recalled_seats(self) -> Sequence[SeatKey]:
        seats = self._tables.leases.seats
        return [key for key in sorted(seats) if seats[key].is_recalled]

    async def nodes_with_seats(self) -> Set[NodeKey]:
        return {key.node for key in self._tables.leases.seats}

    async def noted_leases(self) -> Sequence[Lease]:
        return [lease for lease in await self.leases(None) if lease.noted is not None]

    async def configurations(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        known = self._tables.leases.configurations
        return {digest: known[digest] for digest in digests if digest in known}

    async def held_on(self, node: NodeKey, after: int, limit: int) -> Sequence[Allocation]:
        rows = self._tables.allocations.rows
        found = (row for number, row in sorted(rows.items()) if number > after and _lives_on(row, node))
        return list(islice(found, limit))

    async def holdings(
        self, nodes: Sequence[NodeKey], pools: Sequence[str], most: int
    ) -> Mapping[NodeKey, NodeHolding]:
        live = (row for row in self._tables.allocations.rows.values() if row.until is None)
        blocks = (block for pool in pools for block in self._tables.blocks.rows.get(pool, {}).values())
        return count_holdings(nodes, live, self._tables.leases.seats.values(), blocks, most)

    async def censuses(self, node: NodeKey | None) -> Sequence[Census]:
        known = self._tables.censuses
        return [known[key] for key in sorted(known) if node in (None, key)]

    async def tallies(self, quota: str, limit: int) -> Sequence[TallyUse]:
        return fullest(self._tables.tallies, quota)[:limit]

    async def used(self, tallies: Sequence[Tally]) -> Mapping[Tally, int]:
        return {tally: self._tables.tallies.get(tally, 0) for tally in tallies}

    async def most_used(self) -> Mapping[str, int]:
        return most_used(self._tables.tallies)

    async def hold_uses(self, holds: Sequence[str] | None) -> Mapping[str, HoldUse]:
        return uses_of(holds, self._tables.allocations.rows.values())

    async def receipt_key(self) -> bytes:
        return self._tables.receipt_key

    async def blocks_of_node(self, pool: str, node: NodeKey) -> Sequence[Block]:
        rows = self._tables.blocks.rows.get(pool, {})
        return self._tables.blocks_numbered(pool, sorted(first for first in rows if rows[first].node == node))


def _id(row: Allocation) -> int:
    assert row.id is not None  # a stored row has one
    return row.id


def _is_away(row: Allocation, before: Instant | None) -> bool:
    if row.until is not None or row.away_since is None or before is None:
        return False
    return NEVER_CAME < row.away_since <= before


def _lives_on(row: Allocation, node: NodeKey) -> bool:
    return row.until is None and isinstance(row.holder, Identity) and row.holder.node_key == node


def _age(row: Allocation) -> tuple[Instant, int]:
    """What history is ordered by."""
    return row.since, _id(row)


def _asked_for(row: Allocation, query: AllocationQuery) -> bool:
    holder = row.holder
    identity = holder if isinstance(holder, Identity) else None
    asked = (
        (query.in_space, row.space),
        (query.pool, row.pool),
        (query.cluster, holder.cluster),
        (query.node, identity and identity.node),
        (query.network, identity and identity.network),
        (query.container_id, identity and identity.container_id),
        (query.owner, holder.name if isinstance(holder, Owner) else None),
        (query.namespace, row.workload.namespace),
        (query.name, row.workload.name),
    )
    return query.is_within(row.address) and all(wanted is None or wanted == there for wanted, there in asked)


def _remembered(row: Allocation, query: HistoryQuery) -> bool:
    holder = row.holder if isinstance(row.holder, Identity) else None
    asked = (
        (query.namespace, row.workload.namespace),
        (query.name, row.workload.name),
        (query.cluster, row.holder.cluster),
        (query.node, holder and holder.node),
        (query.owner, row.owner_name),
    )
    if not all(wanted is None or wanted == there for wanted, there in asked):
        return False
    if query.in_space not in (None, row.space) or not query.has_address(row):
        return False
    return _held_when(row, query)


def _held_when(row: Allocation, query: HistoryQuery) -> bool:
    """An allocation holds from its `since` on, and no longer at its `until`."""
    not_begun = [moment for moment in (query.at, query.before) if moment is not None and row.since > moment]
    over = [moment for moment in (query.at, query.after) if moment is not None and _ended_by(row, moment)]
    return not not_begun and not over


def _ended_by(row: Allocation, moment: Instant) -> bool:
    return row.until is not None and row.until <= moment
