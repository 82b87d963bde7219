"""A change of the catalogue in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import TypeVar

from ipamd.backends.interface import ConstraintViolated
from ipamd.backends.memory.tables import Tables
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

K = TypeVar("K")
V = TypeVar("V")


class MemoryCatalogueChange:
    """See `CatalogueChange`. A snapshot never changes: each change makes the next one from it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def raise_revision(self, by: int = 1) -> int:
        before = self._tables.snapshot
        self._tables.snapshot = replace(before, revision=before.revision + by)
        return before.revision + by

    async def load(self, known: Snapshot) -> Snapshot:
        return self._tables.snapshot

    async def save(self, entry: Entry) -> None:
        now = self._tables.snapshot
        match replace(entry, revision=now.revision):
            case Pool() as pool:
                self._tables.snapshot = replace(now, pools={**now.pools, pool.name: pool})
            case Reservation() as kept:
                self._tables.snapshot = replace(now, reservations={**now.reservations, kept.id: kept})
            case Quota() as quota:
                self._tables.snapshot = replace(now, quotas={**now.quotas, quota.name: quota})
            case Hold() as hold:
                self._tables.snapshot = replace(now, holds={**now.holds, hold.name: hold})
            case Node() as node:
                self._tables.snapshot = replace(now, nodes={**now.nodes, node.key: node})
            case Token() as token:
                if any(token.hash == other.hash and token.id != other.id for other in now.tokens.values()):
                    raise ConstraintViolated(f"token {token.id} has the hash of another")
                self._tables.snapshot = replace(now, tokens={**now.tokens, token.id: token})
            case PodNetwork() as network:
                self._tables.snapshot = replace(now, networks={**now.networks, network.cluster: network})
            case Restoration() as restoration:
                self._tables.snapshot = replace(now, restoration=restoration)

    async def remove(self, entry: Removable) -> None:
        now = self._tables.snapshot
        match entry:
            case Pool():
                self._tables.blocks.forget(entry.name)
                for key in [key for key in self._tables.samples if key[0] == entry.name]:
                    self._tables.journal.drop(self._tables.samples, key)
                self._tables.journal.put(self._tables.removed_pools, entry.name, None)
                self._tables.snapshot = replace(now, pools=_without(now.pools, entry.name))
            case Reservation():
                self._tables.snapshot = replace(now, reservations=_without(now.reservations, entry.id))
            case Quota():
                self._tables.drop_tallies(entry.name)
                self._tables.snapshot = replace(now, quotas=_without(now.quotas, entry.name))
            case Hold():
                self._tables.allocations.leave_to_workloads(entry.name)
                self._tables.snapshot = replace(now, holds=_without(now.holds, entry.name))
            case Node():
                self._tables.journal.drop(self._tables.contacts, entry.key)
                self._tables.journal.drop(self._tables.censuses, entry.key)
                self._tables.snapshot = replace(now, nodes=_without(now.nodes, entry.key))
            case Token():
                self._tables.journal.drop(self._tables.uses, entry.id)
                self._tables.snapshot = replace(now, tokens=_without(now.tokens, entry.id))

    async def count(self, quotas: Sequence[Quota]) -> None:
        for quota in quotas:
            self._tables.drop_tallies(quota.name)
            self._tables.write_tallies(self._tables.live_tallies(quota))

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        return self._tables.blocks.between(pool, first, last)

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        for block in blocks:
            self._tables.blocks.write(block)
        if cursor is not None and cursor < self._tables.blocks.cursors.get(pool, 0):
            self._tables.journal.put(self._tables.blocks.cursors, pool, cursor)

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        return next(iter(self._tables.allocations.having(space, address)), None)

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        return self._tables.boots.get(node, ())

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        known = self._tables.boots.get(node, ())
        if any(other.identity == boot.identity or other.number == boot.number for other in known):
            raise ConstraintViolated(f"boot {boot.identity} or its number {boot.number} is known")
        boots = tuple(sorted((*known, boot), key=lambda one: one.number))
        self._tables.journal.put(self._tables.boots, node, boots)

    async def log(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            self._tables.logged += 1
            stored = replace(entry, id=self._tables.logged)
            self._tables.journal.put(self._tables.log, self._tables.logged, stored)

    async def request(self, number: int) -> ChangeRequest | None:
        return self._tables.requests.get(number)

    async def save_request(self, request: ChangeRequest) -> None:
        self._tables.journal.put(self._tables.requests, request.id, request)

    async def renew_epochs(self) -> None:
        self._tables.announcing.renew_epochs()

    async def announce(self, announced: Set[Announced]) -> None:
        self._tables.announcing.announce(announced)
        for cluster in {each.cluster for each in announced}:
            self._tables.announcing.forget(cluster, self._tables.snapshot.nodes)


def _without(entries: Mapping[K, V], key: K) -> dict[K, V]:
    return {other: entry for other, entry in entries.items() if other != key}
