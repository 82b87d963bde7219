"""Values to put into a database, and the shortest ways to put them there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any, Final

from msgspec import structs

from ipamd.backends.interface import (
    Backend,
    BlockSearch,
    CatalogueChange,
    Changes,
    Ended,
    Found,
    RememberedRelease,
    WaitForLocks,
)
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.block import Block, new_block
from ipamd.models.catalogue import Entry, Removable
from ipamd.models.census import Census, Conflict, Suspicion
from ipamd.models.change_log import LogEntry, LogKind
from ipamd.models.identity import Identity
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, Seat, configuration_digest
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool

NOW: Final[Instant] = 1_700_000_000_000_000
HERE: Final = NodeKey("default", "node-1")
THERE: Final = NodeKey("default", "node-2")
PLAIN: Final = Pool(name="pods", subnet=ip_network("10.0.0.0/16"), block_length=26)
BLOCK_SIZE: Final = 64

CONFIGURATION: Final = b'{"name": "pods"}'
SEAT: Final = Seat(
    node=HERE, number=1, key="0a", configuration=configuration_digest(CONFIGURATION), network="pods"
)
LEASE: Final = Lease(
    node=HERE,
    epoch=1,
    machine="m",
    boot="b",
    store="s",
    granted=2,
    seats=3,
    until=NOW,
    reported=4,
    heard=NOW,
)
CENSUS: Final = Census(
    node=HERE,
    machine="m",
    boot="b",
    since=NOW,
    suspicions=(Suspicion(7, 1, 2, NOW),),
    conflicts=(Conflict("pods", "c9", "eth0", "10.0.0.9", "it is another's"),),
)

WAIT: Final = WaitForLocks(20.0)
"""Seconds: longer than anything here waits for a lock on a machine that is very busy."""


def container(name: str, node: str = "node-1", cluster: str = "default", network: str = "pods") -> Identity:
    """One interface of a container."""
    return Identity(cluster, network, node, name, "eth0")


def allocation(address: str = "10.0.0.1", container_id: str = "c1", **fields: Any) -> Allocation:
    """A live allocation of a container, from a pool with blocks of 64 addresses."""
    holder = fields.pop("holder", container(container_id))
    value = ip_address(address)
    given: dict[str, Any] = {
        "id": None,
        "space": "default",
        "address": value,
        "pool": "pods",
        "block": int(value) & -BLOCK_SIZE,
        "holder": holder,
        "digest": holder.digest,
        "position": 0,
        "workload": Workload(),
        "boot": None,
        "netns": None,
        "since": NOW,
        "until": None,
        "ending": None,
        "generation": 1,
        "taken": CallOrder(1, 10),
        "repeated": CallOrder(1, 10),
    }
    return Allocation(**(given | fields))


def block(first: int, pool: str = "pods", **fields: Any) -> Block:
    """A block of 64 addresses that nobody has had, but for what is said."""
    return replace(new_block(pool, first, BLOCK_SIZE, None), **fields)


def release(digest: bytes, uptime: int, *, undo: bool = False, until: Instant = NOW) -> RememberedRelease:
    """A release of a holder, issued in its node's first boot."""
    return RememberedRelease(digest, CallOrder(1, uptime), undo, until)


async def write(backend: Backend, changes: Changes) -> None:
    """One unit of work that writes."""
    await backend.transact(lambda transaction: transaction.write(changes))


async def begin(backend: Backend, *allocations: Allocation) -> list[Allocation]:
    """Store live allocations; as they are stored."""
    await write(backend, Changes(begun=list(allocations)))
    found = await find(backend, *(row.digest for row in allocations))
    held = {(row.digest, row.position): row for rows in found.held.values() for row in rows}
    return [held[row.digest, row.position] for row in allocations]


def ending(stored: Allocation, until: Instant = NOW + 1) -> Ended:
    """The end of a stored allocation."""
    return Ended(stored.stored_id, until, Ending.RELEASED)


async def end(backend: Backend, stored: Allocation, until: Instant = NOW + 1) -> Allocation:
    """End a live allocation; as it is stored then."""
    await write(backend, Changes(ended=[ending(stored, until)]))
    return structs.replace(stored, until=until, ending=Ending.RELEASED)


async def find(backend: Backend, *digests: bytes) -> Found:
    """What is known of some holders. While nothing else is under way the lock policy changes nothing."""
    skipping = await backend.transact(lambda transaction: transaction.find(digests))
    waiting = await backend.transact(lambda transaction: transaction.find(digests), WAIT)
    assert not skipping.busy, "nobody else is about these holders"
    assert skipping == waiting
    return skipping


async def lock(backend: Backend, *searches: BlockSearch) -> list[list[Block]]:
    """The blocks of some searches. While nothing else is under way the lock policy changes nothing."""
    skipping = await backend.transact(lambda transaction: transaction.lock(searches))
    waiting = await backend.transact(lambda transaction: transaction.lock(searches), WAIT)
    assert not any(one.passed_over for one in skipping), "nobody else holds a block"
    blocks = [list(one.blocks) for one in skipping]
    assert blocks == [list(one.blocks) for one in waiting]
    return blocks


async def carve(backend: Backend, *blocks: Block, cursor: int | None = None) -> int:
    """Add blocks of one pool; how many were new."""
    return await backend.transact(lambda transaction: transaction.carve(blocks[0].pool, blocks, cursor))


async def cursor(backend: Backend, pool: str = "pods") -> int:
    """Where carving goes on."""
    return await backend.transact(lambda transaction: transaction.cursor(pool))


async def save(backend: Backend, *entries: Entry) -> int:
    """One change that adds or replaces entries; the new revision."""

    async def change(catalogue: CatalogueChange) -> int:
        revision = await catalogue.raise_revision()
        for entry in entries:
            await catalogue.save(entry)
        return revision

    return await backend.change(change)


async def remove(backend: Backend, *entries: Removable) -> None:
    """One change that removes entries."""

    async def change(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        for entry in entries:
            await catalogue.remove(entry)

    await backend.change(change)


def change_of(pool: str, at: Instant = NOW, by: str = "ann (token 2)", **fields: Any) -> LogEntry:
    """An entry of the change log: a pool was made, but for what is said."""
    given: dict[str, Any] = {"kind": LogKind.POOL, "before": None, "after": {"name": pool, "priority": 7}}
    return LogEntry(at=at, by=by, name=pool, **(given | fields))


async def log(backend: Backend, *entries: LogEntry) -> None:
    """One change that writes entries of the change log."""

    async def change(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        await catalogue.log(entries)

    await backend.change(change)


def firsts(blocks: Iterable[Block]) -> list[int]:
    """The numbers of blocks, in their order."""
    return [each.first for each in blocks]
