"""A change of what admins decide."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from uuid import uuid4

from msgspec import structs

from ipamd.backends.hold_rows import taken_of
from ipamd.backends.interface import ConstraintViolated
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
from ipamd_file.announcing import announce, forget_announced
from ipamd_file.store import Store
from ipamd_file.transaction import write_block


class FileCatalogueChange:
    """See `CatalogueChange`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def raise_revision(self, by: int = 1) -> int:
        self._store.put("number", "revision", self._store.revision + by)
        return self._store.revision

    async def load(self, known: Snapshot) -> Snapshot:
        return self._store.snapshot()

    async def save(self, entry: Entry) -> None:
        if isinstance(entry, Token) and self._has_namesake(entry):
            raise ConstraintViolated(f"token {entry.id} has the hash of another")
        self._store.put(*_place(entry), replace(entry, revision=self._store.revision))

    async def remove(self, entry: Removable) -> None:
        self._store.drop(*_place(entry))
        if isinstance(entry, Pool):
            self._store.drop("cursor", entry.name)
            self._store.put("removed", entry.name, True)
            for hour, sums in list(self._store.tables["sample"].items()):
                self._store.put("sample", hour, {pool: sums[pool] for pool in sums if pool != entry.name})
            for block in self._store.blocks_of(entry.name):
                self._store.drop("block", (entry.name, block.first))
        if isinstance(entry, Node):
            self._store.drop("contact", entry.key)
            self._store.drop("census", entry.key)
        if isinstance(entry, Quota):
            self._store.write_tallies(dict.fromkeys(self._store.tallies_of(entry.name), 0))
        if isinstance(entry, Hold):
            for row in taken_of(entry.name, self._store.values("allocation")):
                self._store.put("allocation", row.id, structs.replace(row, hold=None))
        if isinstance(entry, Token):
            self._store.drop("use", entry.id)

    def _has_namesake(self, token: Token) -> bool:
        return any(token.hash == other.hash and token.id != other.id for other in self._store.values("token"))

    async def count(self, quotas: Sequence[Quota]) -> None:
        for quota in quotas:
            before = dict.fromkeys(self._store.tallies_of(quota.name), 0)
            self._store.write_tallies({**before, **self._store.live_tallies(quota)})

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        return self._store.blocks_between(pool, first, last)

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        for block in blocks:
            write_block(self._store, block)
        if cursor is not None and cursor < self._store.get("cursor", pool, 0):
            self._store.put("cursor", pool, cursor)

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        return next(iter(self._store.having(space, address)), None)

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        return sorted(self._store.get("boots", node, ()), key=lambda boot: boot.number)

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        known = self._store.get("boots", node, ())
        if any(boot.identity == other.identity or boot.number == other.number for other in known):
            raise ConstraintViolated(f"boot {boot.identity} or its number {boot.number} is known")
        self._store.put("boots", node, (*known, boot))

    async def log(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            number = self._store.get("number", "log", 0) + 1
            self._store.put("number", "log", number)
            self._store.put("log", number, replace(entry, id=number))

    async def request(self, number: int) -> ChangeRequest | None:
        known: ChangeRequest | None = self._store.get("request", number)
        return known

    async def save_request(self, request: ChangeRequest) -> None:
        self._store.put("request", request.id, request)

    async def renew_epochs(self) -> None:
        for cluster, known in list(self._store.tables["position"].items()):
            self._store.put("position", cluster, known._replace(epoch=str(uuid4())))

    async def announce(self, announced: Set[Announced]) -> None:
        announce(self._store, announced)
        for cluster in {each.cluster for each in announced}:
            forget_announced(self._store, cluster)


def _place(entry: Entry) -> tuple[str, str | int | NodeKey]:
    match entry:
        case Pool():
            return "pool", entry.name
        case Reservation():
            return "reservation", entry.id
        case Quota():
            return "quota", entry.name
        case Hold():
            return "hold", entry.name
        case Node():
            return "node", entry.key
        case Token():
            return "token", entry.id
        case PodNetwork():
            return "network", entry.cluster
        case Restoration():
            return "restoration", 1
