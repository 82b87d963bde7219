"""A database in memory, for trying ipamd out and for tests."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import (
    SKIP_LOCKS,
    Audit,
    Backend,
    Change,
    Ledger,
    Line,
    LockPolicy,
    Undone,
    Work,
)
from ipamd.backends.memory.audit import MemoryAudit
from ipamd.backends.memory.catalogue import MemoryCatalogueChange
from ipamd.backends.memory.ledger import MemoryLedger
from ipamd.backends.memory.line import MemoryLine
from ipamd.backends.memory.tables import Tables
from ipamd.backends.memory.transaction import MemoryTransaction
from ipamd.models.errors import DatabaseUnfit, Unavailable
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

T = TypeVar("T")


class MemoryBackend:
    """See `Backend`. Everything is gone with the process."""

    lanes = 1

    def __init__(self) -> None:
        self._tables = Tables()
        self._closed = False
        self.ledger: Ledger = MemoryLedger(self._tables)
        self.audit: Audit = MemoryAudit(self._tables)
        self.line: Line = MemoryLine()

    async def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> T:
        return self._run(work(MemoryTransaction(self._tables)))

    async def change(self, work: Change[T]) -> T:
        return self._run(work(MemoryCatalogueChange(self._tables)))

    def _run(self, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
        if self._closed:
            work.close()
            raise Unavailable("the database is closed")
        try:
            result = run_to_end(work)
        except BaseException:
            self._tables.journal.undo()
            raise
        if isinstance(result, Undone):
            self._tables.journal.undo()
            return result.value
        self._tables.journal.keep()
        return result

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        self._tables.contacts.update(contacts)

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        self._tables.uses.update(uses)

    async def forget_releases(self, before: Instant) -> None:
        self._tables.releases.forget(before)

    async def forget_former(self, before: Instant) -> bool:
        self._tables.former.forget(before)
        return False

    async def shorten_releases(self, until: Instant) -> int:
        return self._tables.releases.shorten(until)

    async def forget_history(self, before: Instant, after: int) -> int | None:
        self._tables.allocations.forget(before)
        self._tables.forgotten = max(self._tables.forgotten, before)
        return None

    async def forget_log(self, before: Instant) -> bool:
        self._tables.log = {number: entry for number, entry in self._tables.log.items() if entry.at > before}
        return False

    async def forget_requests(self, before: Instant) -> bool:
        for number, request in list(self._tables.requests.items()):
            if request.is_over and (request.decided or 0) <= before:
                del self._tables.requests[number]
        return False

    async def sample_usage(self, hour: Instant) -> None:
        if any(at == hour for _, at in self._tables.samples):
            return
        for pool in self._tables.snapshot.pools:
            blocks = self._tables.blocks.rows.get(pool, {}).values()
            self._tables.samples[pool, hour] = sum(block.allocated for block in blocks)

    async def forget_samples(self, before: Instant) -> bool:
        kept = {key: allocated for key, allocated in self._tables.samples.items() if key[1] > before}
        self._tables.samples = kept
        return False

    async def mark(self) -> int:
        return 0  # one unit of work is under way at a time

    async def has_passed(self, mark: int) -> bool:
        return True

    async def count_time(self, until: Instant) -> None:
        self._tables.counted = max(self._tables.counted, until)

    async def set_time_back(self, now: Instant) -> None:
        self._tables.counted = min(self._tables.counted, now)
        self._tables.forgotten = min(self._tables.forgotten, now)

    async def ready(self) -> str | None:
        return "the database is closed" if self._closed else None

    async def close(self) -> None:
        self._closed = True


async def open_memory(url: str) -> Backend:
    """An empty database. Raises DatabaseUnfit if the URL is not `memory://`."""
    if url.partition(":")[2].strip("/"):
        raise DatabaseUnfit(f"{url!r} is not the URL of a database in memory: write memory://")
    return MemoryBackend()
