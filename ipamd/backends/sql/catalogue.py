"""A change of what admins decide, in SQL, and the reading of it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import ClassVar, NamedTuple

from ipamd.backends.sql import change_log, change_requests, holds, prefixes, samples, statements, tallies
from ipamd.backends.sql.allocation_rows import allocation_of
from ipamd.backends.sql.announcing import announce, forget_announced, renew_epochs
from ipamd.backends.sql.entries import (
    hold_of,
    hold_values,
    network_of,
    network_values,
    node_of,
    node_values,
    quota_of,
    quota_values,
    reservation_of,
    reservation_values,
    token_of,
    token_values,
)
from ipamd.backends.sql.pool_rows import pool_of, pool_values
from ipamd.backends.sql.rows import block_of, cursor_bytes, number_bytes
from ipamd.backends.sql.session import DatabaseSession
from ipamd.backends.sql.transaction import write_blocks
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Removable, Snapshot
from ipamd.models.change_log import LogEntry
from ipamd.models.change_request import ChangeRequest
from ipamd.models.hold import Hold
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import Announced, PodNetwork
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.token import Token


class SqlCatalogueChange:
    """See `CatalogueChange`. What is removed leaves its name and the revision, for those who know it."""

    deferred: ClassVar = True
    """Whether lists go by terms that come later, as on SQLite."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session
        self._raised_to: int | None = None

    async def raise_revision(self, by: int = 1) -> int:
        """See `CatalogueChange`. From then on it is ours: nobody else raises it before this change ends."""
        await self._session.run(statements.RAISE_REVISION, by)
        self._raised_to = await self._read_revision()
        return self._raised_to

    async def _revision(self) -> int:
        return await self._read_revision() if self._raised_to is None else self._raised_to

    async def _read_revision(self) -> int:
        [(revision,)] = await self._session.fetch(statements.REVISION)
        return int(revision)

    async def load(self, known: Snapshot) -> Snapshot:
        return await load(self._session, known)

    async def save(self, entry: Entry) -> None:
        match replace(entry, revision=await self._revision()):
            case Pool() as pool:
                await self._session.run(statements.SAVE_POOL, *pool_values(pool))
                if pool.prefix_length is not None:
                    await self._session.run(statements.SHUT_OUT_WHO_KNOWS_NO_POOLS_OF_PREFIXES)
            case Reservation() as reservation:
                await self._session.run(statements.SAVE_RESERVATION, *reservation_values(reservation))
            case Quota() as quota:
                await self._session.run(statements.SAVE_QUOTA, *quota_values(quota))
                await self._session.run(statements.SHUT_OUT_WHO_KNOWS_NO_QUOTAS)
            case Hold() as hold:
                await self._session.run(statements.SAVE_HOLD, *hold_values(hold))
                await self._session.run(statements.SHUT_OUT_WHO_KNOWS_NO_HOLDS)
            case Node() as node:
                await self._session.run(statements.SAVE_NODE, *node_values(node))
            case Token() as token:
                await self._session.run_many(statements.SAVE_TOKEN, [token_values(token)])
            case PodNetwork() as network:
                await self._session.run(statements.SAVE_NETWORK, *network_values(network))
            case Restoration() as restoration:
                row = (1, restoration.timeline, restoration.began, restoration.revision, restoration.cause)
                await self._session.run(statements.SAVE_RESTORATION, *row)

    async def remove(self, entry: Removable) -> None:
        match entry:
            case Pool():
                for statement in (*statements.DROP_POOL, samples.DROP):
                    await self._session.run(statement, entry.name)
                gone = ("pool", "", entry.name)
            case Reservation():
                await self._session.run(statements.DROP_RESERVATION, entry.id)
                gone = ("reservation", "", str(entry.id))
            case Quota():
                for statement in (statements.DROP_QUOTA, tallies.DROP_QUOTA):
                    await self._session.run(statement, entry.name)
                gone = ("quota", "", entry.name)
            case Hold():
                for statement in (statements.DROP_HOLD, holds.LEAVE_TO_WORKLOADS):
                    await self._session.run(statement, entry.name)
                gone = ("hold", "", entry.name)
            case Node():
                for statement in statements.DROP_NODE:
                    await self._session.run(statement, *entry.key)
                gone = ("node", *entry.key)
            case Token():
                for statement in statements.DROP_TOKEN:
                    await self._session.run(statement, entry.id)
                gone = ("token", "", str(entry.id))
        await self._session.run(statements.NOTE_REMOVAL, *gone, await self._revision())

    async def count(self, quotas: Sequence[Quota]) -> None:
        for quota in quotas:
            await tallies.count(self._session, quota, deferred=self.deferred)

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        return await blocks_between(self._session, pool, first, last)

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        await write_blocks(self._session, blocks)
        if cursor is not None:
            await self._session.run(statements.LOWER_CURSOR, pool, cursor_bytes(cursor))

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        rows = await self._session.fetch(statements.LIVE_BY_ADDRESS, space, address.packed)
        if rows:
            return allocation_of(rows[0])
        return await prefixes.holder_around(self._session, space, address)

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        rows = await self._session.fetch(statements.BOOTS, *node)
        return [Boot(identity, number) for identity, number in rows]

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        row = (node.cluster, node.name, boot.number, boot.identity)
        await self._session.run_many(statements.SAVE_BOOT, [row])

    async def log(self, entries: Sequence[LogEntry]) -> None:
        if entries:
            await self._session.run_many(change_log.NOTE, [change_log.entry_values(each) for each in entries])

    async def request(self, number: int) -> ChangeRequest | None:
        return await change_requests.read(self._session, number)

    async def save_request(self, request: ChangeRequest) -> None:
        await self._session.run(change_requests.SAVE, *change_requests.request_values(request))

    async def renew_epochs(self) -> None:
        await renew_epochs(self._session)

    async def announce(self, announced: Set[Announced]) -> None:
        await announce(self._session, announced)
        await forget_announced(self._session, {each.cluster for each in announced})


async def load(session: DatabaseSession, known: Snapshot) -> Snapshot:
    """The catalogue, from what is known of it and what changed since.

    What is known may be later than the database, or of another timeline: then the database was put back, and
    all of it is read.
    """
    [(revision,)] = await session.fetch(statements.REVISION)
    if revision == known.revision:
        return known
    if revision < known.revision:
        known = Snapshot()
    restoration = await _restoration(session, known)
    if restoration.timeline != known.restoration.timeline:
        known = Snapshot()
    since = known.revision
    # What was removed may have come again since: so removals first.
    pools, reservations, nodes, tokens, quotas, holds = await _what_stayed(session, known)
    pools |= {each.name: each for each in map(pool_of, await session.fetch(statements.POOLS_AFTER, since))}
    rows = await session.fetch(statements.RESERVATIONS_AFTER, since)
    reservations |= {each.id: each for each in map(reservation_of, rows)}
    nodes |= {each.key: each for each in map(node_of, await session.fetch(statements.NODES_AFTER, since))}
    tokens |= {each.id: each for each in map(token_of, await session.fetch(statements.TOKENS_AFTER, since))}
    quotas |= {each.name: each for each in map(quota_of, await session.fetch(statements.QUOTAS_AFTER, since))}
    holds |= {each.name: each for each in map(hold_of, await session.fetch(statements.HOLDS_AFTER, since))}
    rows = await session.fetch(statements.NETWORKS_AFTER, since)
    networks = {**known.networks, **{each.cluster: each for each in map(network_of, rows)}}
    return Snapshot(revision, pools, reservations, nodes, tokens, networks, restoration, quotas, holds)


async def _restoration(session: DatabaseSession, known: Snapshot) -> Restoration:
    """Whether the database was put back, as it stands now."""
    restoration = known.restoration
    for _, timeline, began, changed, cause in await session.fetch(
        statements.RESTORATION_AFTER, known.revision
    ):
        restoration = Restoration(timeline=timeline, began=began, cause=cause, revision=changed)
    return restoration


class _Stayed(NamedTuple):
    pools: dict[str, Pool]
    reservations: dict[int, Reservation]
    nodes: dict[NodeKey, Node]
    tokens: dict[int, Token]
    quotas: dict[str, Quota]
    holds: dict[str, Hold]


async def _what_stayed(session: DatabaseSession, known: Snapshot) -> _Stayed:
    """The entries that are known, without those that were removed since."""
    stayed = _Stayed(
        dict(known.pools),
        dict(known.reservations),
        dict(known.nodes),
        dict(known.tokens),
        dict(known.quotas),
        dict(known.holds),
    )
    for kind, cluster, name, _ in await session.fetch(statements.REMOVED_AFTER, known.revision):
        match kind:
            case "pool":
                stayed.pools.pop(name, None)
            case "reservation":
                stayed.reservations.pop(int(name), None)
            case "node":
                stayed.nodes.pop(NodeKey(cluster, name), None)
            case "token":
                stayed.tokens.pop(int(name), None)
            case "quota":
                stayed.quotas.pop(name, None)
            case "hold":
                stayed.holds.pop(name, None)
    return stayed


async def blocks_between(session: DatabaseSession, pool: str, first: int, last: int) -> list[Block]:
    """The blocks of a pool that hold any address from `first` to `last`, in their order."""
    rows = await session.fetch(statements.BLOCKS_BETWEEN, pool, number_bytes(first), number_bytes(last))
    return [block for block in map(block_of, rows) if block.first + block.size > first]
