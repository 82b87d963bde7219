"""Reading. Each method takes its turn between the units of work, so that it never sees half of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ipamd.backends.hold_rows import uses_of
from ipamd.backends.interface import NOT_ADDED_UP, HeldAddress, PodNetworkReading
from ipamd.models.allocation import NEVER_CAME, Allocation, count_prefixes
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogPage, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestQuery
from ipamd.models.hold import HoldUse
from ipamd.models.holding import NodeHolding, count_holdings
from ipamd.models.identity import Digest, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.lease import Lease, Seat, SeatCount, SeatKey, count_seats
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
from ipamd.models.quota import Tally, TallyUse, fullest, most_used
from ipamd.models.sample import UsageSample
from ipamd_file.announcing import read_network
from ipamd_file.store import Store

T = TypeVar("T")

Further = Callable[[Allocation, Allocation], bool]


class Turn(Protocol):
    """Calls a function when nothing else is under way."""

    def __call__(self, read: Callable[[], T], /) -> Awaitable[T]: ...


class FileLedger:
    """See `Ledger`."""

    def __init__(self, store: Store, turn: Turn) -> None:
        self._store = store
        self._turn = turn

    async def snapshot(self, known: Snapshot) -> Snapshot:
        return await self._turn(self._store.snapshot)

    async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            rows = sorted(filter(lambda row: _lives_and_matches(row, query), self._rows()), key=query.place)
            return self._behind(after, rows, lambda row, last: query.place(row) > query.place(last))[:limit]

        return await self._turn(read)

    async def prefixes(self) -> Mapping[str, Mapping[int, int]]:
        return await self._turn(lambda: count_prefixes(row for row in self._rows() if row.until is None))

    async def history(self, query: HistoryQuery, before: int | None, limit: int) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            rows = sorted(filter(lambda row: _held_then(row, query), self._rows()), key=_age, reverse=True)
            return self._behind(before, rows, lambda row, last: _age(row) < _age(last))[:limit]

        return await self._turn(read)

    async def bounded_page(self, query: AllocationQuery, after: int | None, limit: int) -> AllocationPage:
        return AllocationPage.of(await self.page(query, after, limit + 1), limit)

    async def bounded_history(self, query: HistoryQuery, before: int | None, limit: int) -> AllocationPage:
        return AllocationPage.of(await self.history(query, before, limit + 1), limit)

    def _rows(self) -> list[Allocation]:
        return self._store.values("allocation")

    def _behind(self, last: int | None, rows: list[Allocation], further: Further) -> list[Allocation]:
        """The rest of a list, behind the last row of the page before, which may be gone from the list."""
        if last is None:
            return rows
        known = self._store.get("allocation", last)
        if known is None:
            return []
        return [row for row in rows if further(row, known)]

    async def log(self, query: LogQuery, before: int | None, limit: int) -> LogPage:
        def read() -> LogPage:
            entries = sorted(self._store.values("log"), key=lambda entry: -entry.id)
            later = [entry for entry in entries if before is None or entry.id < before]
            found = [entry for entry in later if query.matches(entry)]
            return LogPage(found[:limit], found[limit - 1].id if len(found) > limit else None)

        return await self._turn(read)

    async def requests(self, query: RequestQuery, before: int | None, limit: int) -> Sequence[ChangeRequest]:
        def read() -> list[ChangeRequest]:
            known = sorted(self._store.values("request"), key=lambda request: -request.id)
            found = [request for request in known if query.matches(request)]
            return [request for request in found if before is None or request.id < before][:limit]

        return await self._turn(read)

    async def request(self, number: int) -> ChangeRequest | None:
        return await self._turn(lambda: self._store.get("request", number))

    async def owners(self, query: OwnerQuery, after: int | None, limit: int) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            rows = sorted(filter(query.matches, self._rows()), key=query.place)
            return self._behind(after, rows, lambda row, last: query.place(row) > query.place(last))[:limit]

        return await self._turn(read)

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            return [row for each in addresses for row in self._store.of_address(each.space, each.address)]

        return await self._turn(read)

    async def owners_away(self, before: Mapping[str, Instant], limit: int) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            away = [row for row in self._rows() if row.until is None and row.away_since is not None]
            return [row for row in away if NEVER_CAME < (row.away_since or 0) <= before.get(row.pool, 0)]

        return (await self._turn(read))[:limit]

    async def away(self, pool: str | None = None) -> Mapping[str, int]:
        def read() -> Mapping[str, int]:
            live = (row for row in self._rows() if row.until is None and row.away_since is not None)
            return Counter(row.pool for row in live if pool in (None, row.pool))

        return await self._turn(read)

    async def held_by(self, digest: Digest) -> Sequence[Allocation]:
        return await self._turn(lambda: self._store.held_by(digest))

    async def allocation(self, allocation: int) -> Allocation | None:
        return await self._turn(lambda: self._store.get("allocation", allocation))

    async def by_idempotency_key(self, key: str) -> Allocation | None:
        def read() -> Allocation | None:
            made = [row for row in self._rows() if row.idempotency is not None and row.idempotency.key == key]
            return min(made, key=lambda row: row.position, default=None)

        return await self._turn(read)

    async def fill(
        self, pools: Sequence[str], allocated: Mapping[str, int] = NOT_ADDED_UP
    ) -> Mapping[str, Fill]:
        def read() -> dict[str, Fill]:
            blocks = {pool: self._store.blocks_of(pool) for pool in pools}
            found = {pool: _fill(those) for pool, those in blocks.items() if those}
            for pool in found.keys() & allocated.keys():
                found[pool] = replace(found[pool], allocated=allocated[pool])
            return found

        return await self._turn(read)

    async def allocated(self) -> Mapping[str, int]:
        def read() -> dict[str, int]:
            sums: dict[str, int] = {}
            for block in self._store.values("block"):
                sums[block.pool] = sums.get(block.pool, 0) + block.allocated
            return sums

        return await self._turn(read)

    async def samples(self, pool: str, begin: Instant, end: Instant, limit: int) -> Sequence[UsageSample]:
        def read() -> list[UsageSample]:
            known = self._store.tables["sample"].items()
            found = sorted(UsageSample(int(str(hour)), sums[pool]) for hour, sums in known if pool in sums)
            return [sample for sample in found if begin <= sample.at < end][:limit]

        return await self._turn(read)

    async def blocks(
        self, pool: str, freed_after: Instant, between: tuple[int, int] | None
    ) -> Sequence[Block]:
        def read() -> list[Block]:
            wanted = {block.first for block in self._store.blocks_between(pool, *between)} if between else ()
            return [
                block
                for block in self._store.blocks_of(pool)
                if block.last_freed > freed_after or block.first in wanted
            ]

        return await self._turn(read)

    async def blocks_of(self, wanted: Sequence[BlocksWanted]) -> Mapping[str, Sequence[Block]]:
        def read() -> dict[str, Sequence[Block]]:
            found = {each.pool: self._wanted(each) for each in wanted}
            return {pool: blocks for pool, blocks in found.items() if blocks}

        return await self._turn(read)

    def _wanted(self, wanted: BlocksWanted) -> list[Block]:
        return [
            block
            for block in self._store.blocks_of(wanted.pool)
            if block.last_freed > wanted.freed_after
            or any(begin <= block.first <= last for begin, last in wanted.stretches)
        ]

    async def allocated_in(self, pool: str, stretches: Sequence[tuple[int, int]]) -> Sequence[int]:
        def read() -> list[int]:
            return [
                sum(block.allocated for block in self._store.blocks_between(pool, *stretch))
                for stretch in stretches
            ]

        return await self._turn(read)

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        return await self._turn(lambda: query.picked(self._store.tables["contact"]))  # type: ignore[arg-type]  # nodes

    async def uses(self) -> Mapping[int, Instant]:
        return await self._turn(lambda: dict(self._store.tables["use"]))  # type: ignore[arg-type]  # tokens' ids

    async def positions(self) -> Mapping[str, NetworkPosition]:
        return await self._turn(lambda: dict(self._store.tables["position"]))  # type: ignore[arg-type]  # clusters

    async def pod_network(
        self, cluster: str, known: Snapshot, after: int | None, only: Sequence[str] | None = None
    ) -> PodNetworkReading:
        return await self._turn(lambda: read_network(self._store, cluster, after))

    async def leases(self, node: NodeKey | None) -> Sequence[Lease]:
        def read() -> list[Lease]:
            leases: list[Lease] = self._store.values("lease")
            return sorted((each for each in leases if node in (None, each.node)), key=lambda each: each.node)

        return await self._turn(read)

    async def seats(self, node: NodeKey) -> Sequence[Seat]:
        return await self._turn(lambda: self._store.seats_of(node))

    async def seat_rows(self, node: NodeKey) -> Sequence[Allocation]:
        return await self._turn(lambda: self._store.seat_rows(node))

    async def seat_counts(self, pools: Sequence[str]) -> Mapping[NodeKey, SeatCount]:
        return await self._turn(
            lambda: count_seats(row for row in self._store.values("allocation") if row.pool in pools)
        )

    async def recalled_seats(self) -> Sequence[SeatKey]:
        def read() -> list[SeatKey]:
            seats: list[Seat] = self._store.values("seat")
            return sorted(SeatKey(seat.node, seat.number) for seat in seats if seat.is_recalled)

        return await self._turn(read)

    async def nodes_with_seats(self) -> Set[NodeKey]:
        return await self._turn(lambda: {seat.node for seat in self._store.values("seat")})

    async def noted_leases(self) -> Sequence[Lease]:
        return [lease for lease in await self.leases(None) if lease.noted is not None]

    async def configurations(self, digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        def read() -> dict[Digest, bytes]:
            known = {digest: self._store.get("configuration", digest) for digest in digests}
            return {digest: stored for digest, stored in known.items() if stored is not None}

        return await self._turn(read)

    async def held_on(self, node: NodeKey, after: int, limit: int) -> Sequence[Allocation]:
        def read() -> list[Allocation]:
            live = [row for row in self._rows() if row.until is None and isinstance(row.holder, Identity)]
            found = [row for row in live if row.holder.node_key == node and row.stored_id > after]
            return sorted(found, key=lambda row: row.stored_id)[:limit]

        return await self._turn(read)

    async def holdings(
        self, nodes: Sequence[NodeKey], pools: Sequence[str], most: int
    ) -> Mapping[NodeKey, NodeHolding]:
        def read() -> Mapping[NodeKey, NodeHolding]:
            live = [row for row in self._rows() if row.until is None]
            blocks = [block for pool in pools for block in self._store.blocks_of(pool)]
            return count_holdings(nodes, live, self._store.values("seat"), blocks, most)

        return await self._turn(read)

    async def censuses(self, node: NodeKey | None) -> Sequence[Census]:
        def read() -> list[Census]:
            known: list[Census] = self._store.values("census")
            return sorted((each for each in known if node in (None, each.node)), key=lambda each: each.node)

        return await self._turn(read)

    async def tallies(self, quota: str, limit: int) -> Sequence[TallyUse]:
        return await self._turn(lambda: fullest(self._store.tallies_of(quota), quota)[:limit])

    async def used(self, tallies: Sequence[Tally]) -> Mapping[Tally, int]:
        return await self._turn(lambda: {tally: self._store.get("tally", tally, 0) for tally in tallies})

    async def most_used(self) -> Mapping[str, int]:
        return await self._turn(lambda: most_used(self._store.tables["tally"]))  # type: ignore[arg-type]  # as put

    async def hold_uses(self, holds: Sequence[str] | None) -> Mapping[str, HoldUse]:
        return await self._turn(lambda: uses_of(holds, self._store.values("allocation")))

    async def receipt_key(self) -> bytes:
        return await self._turn(lambda: bytes.fromhex(self._store.get("number", "receipt key")))

    async def blocks_of_node(self, pool: str, node: NodeKey) -> Sequence[Block]:
        def read() -> list[Block]:
            return [block for block in self._store.blocks_of(pool) if block.node == node]

        return await self._turn(read)


def _age(row: Allocation) -> tuple[Instant, int]:
    assert row.id is not None  # a stored row has one
    return row.since, row.id


def _fill(blocks: Sequence[Block]) -> Fill:
    ready = [block.next_free_since for block in blocks if block.next_free_since is not None]
    last_freed = max(block.last_freed for block in blocks)
    allocated, leased = sum(block.allocated for block in blocks), sum(block.leased for block in blocks)
    return Fill(allocated, last_freed, min(ready, default=None), leased)


def _matches(row: Allocation, query: AllocationQuery | HistoryQuery, *names: str) -> bool:
    """Whether the fields of these names are as a query wants them, where it says."""
    holder, workload = row.holder, row.workload
    there: dict[str, Any] = {
        "pool": row.pool,
        "owner": holder.name if isinstance(holder, Owner) else None,
        "namespace": workload.namespace,
        "name": workload.name,
        "cluster": holder.cluster,
    }
    if isinstance(holder, Identity):
        there |= {name: getattr(holder, name) for name in ("node", "network", "container_id")}
    if query.in_space not in (None, row.space):
        return False
    if query.address is not None and not row.addresses.contains(query.address):
        return False
    return all(getattr(query, name) in (None, there.get(name)) for name in names)


def _lives_and_matches(row: Allocation, query: AllocationQuery) -> bool:
    names = ("pool", "cluster", "node", "network", "namespace", "name", "container_id", "owner")
    return row.until is None and query.is_within(row.address) and _matches(row, query, *names)


def _held_then(row: Allocation, query: HistoryQuery) -> bool:
    """An allocation holds from its `since` on, and no longer at its `until`."""
    begins = [moment for moment in (query.at, query.before) if moment is not None]
    ends = [moment for moment in (query.at, query.after) if moment is not None]
    return (
        _matches(row, query, "cluster", "node", "namespace", "name")
        and query.owner in (None, row.owner_name)
        and all(row.since <= moment for moment in begins)
        and all(row.until is None or row.until > moment for moment in ends)
    )
