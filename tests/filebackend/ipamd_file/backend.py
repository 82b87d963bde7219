"""The backend: one thread on which units of work, changes and readings take turns."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
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
from ipamd.models.errors import DatabaseUnfit, Unavailable
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd_file.audit import FileAudit
from ipamd_file.catalogue import FileCatalogueChange
from ipamd_file.journal import Journal
from ipamd_file.ledger import FileLedger
from ipamd_file.line import FileLine
from ipamd_file.store import Store
from ipamd_file.transaction import FileTransaction

T = TypeVar("T")

CLOSED = "the database is closed"


class FileBackend:
    """See `Backend`."""

    lanes = 1

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._store = Store()
        for change in journal.read():
            self._store.make(change)
        if self._store.get("number", "receipt key") is None:
            self._store.make(("number", "receipt key", secrets.token_hex(32)))
        journal.rewrite(self._store.everything())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ipamd-file")
        self._closed = False
        self.ledger: Ledger = FileLedger(self._store, self._turn)
        self.audit: Audit = FileAudit(self._store, self._turn)
        self.line: Line = FileLine(self._store, lambda work: self._turn(lambda: self._kept(work)))

    async def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> T:
        return await self._turn(lambda: self._kept(work(FileTransaction(self._store))))

    async def change(self, work: Change[T]) -> T:
        return await self._turn(lambda: self._kept(work(FileCatalogueChange(self._store))))

    async def _turn(self, call: Callable[[], T]) -> T:
        """Call a function on the thread, so that the disk holds nobody else up."""
        if self._closed:
            raise Unavailable(CLOSED)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _kept(self, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
        """Run a unit of work to its end; its changes are on the disk, or undone."""
        try:
            result = run_to_end(work)
            if isinstance(result, Undone):
                self._store.undo()
                return result.value
            if self._store.changes:
                self._journal.append(self._store.changes)
        except BaseException:
            self._store.undo()
            raise
        self._store.keep()
        return result

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        async def record() -> None:
            for node, heard in contacts.items():
                self._store.put("contact", node, heard)

        await self._turn(lambda: self._kept(record()))

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        async def record() -> None:
            for token, used in uses.items():
                self._store.put("use", token, used)

        await self._turn(lambda: self._kept(record()))

    async def forget_releases(self, before: Instant) -> None:
        async def forget() -> None:
            for digest, known in list(self._store.tables["release"].items()):
                kept = tuple(release for release in known if release.until > before)
                if not kept:
                    self._store.drop("release", digest)
                elif kept != known:
                    self._store.put("release", digest, kept)

        await self._turn(lambda: self._kept(forget()))

    async def forget_former(self, before: Instant) -> bool:
        async def forget() -> None:
            for one in self._store.values("former"):
                if one.until <= before:
                    self._store.drop("former", (one.workload, one.position))

        await self._turn(lambda: self._kept(forget()))
        return False

    async def shorten_releases(self, until: Instant) -> int:
        async def shorten() -> int:
            count = 0
            for digest, known in list(self._store.tables["release"].items()):
                kept = tuple(replace(one, until=min(one.until, until)) for one in known)
                if kept != known:
                    count += sum(one.until > until for one in known)
                    self._store.put("release", digest, kept)
            return count

        return await self._turn(lambda: self._kept(shorten()))

    async def forget_history(self, before: Instant, after: int) -> int | None:
        async def forget() -> None:
            over = [row for row in self._store.values("allocation") if row.until is not None]
            for row in over:
                if row.until <= before:
                    self._store.drop("allocation", row.id)
                    if row.idempotency is not None:
                        self._store.drop("key", (row.idempotency.key, row.position))
            self._store.put("number", "forgotten", max(before, self._store.get("number", "forgotten", 0)))

        await self._turn(lambda: self._kept(forget()))
        return None

    async def forget_log(self, before: Instant) -> bool:
        async def forget() -> None:
            for entry in self._store.values("log"):
                if entry.at <= before:
                    self._store.drop("log", entry.id)

        await self._turn(lambda: self._kept(forget()))
        return False

    async def forget_requests(self, before: Instant) -> bool:
        async def forget() -> None:
            for request in self._store.values("request"):
                if request.is_over and request.decided <= before:
                    self._store.drop("request", request.id)

        await self._turn(lambda: self._kept(forget()))
        return False

    async def sample_usage(self, hour: Instant) -> None:
        async def sample() -> None:
            if hour in self._store.tables["sample"]:
                return
            for pool in self._store.tables["pool"]:
                allocated = sum(block.allocated for block in self._store.blocks_of(str(pool)))
                self._store.put("sample", hour, {**self._store.get("sample", hour, {}), pool: allocated})

        await self._turn(lambda: self._kept(sample()))

    async def forget_samples(self, before: Instant) -> bool:
        async def forget() -> None:
            for hour in [hour for hour in self._store.tables["sample"] if int(str(hour)) <= before]:
                self._store.drop("sample", hour)

        await self._turn(lambda: self._kept(forget()))
        return False

    async def mark(self) -> int:
        return 0  # one unit of work is under way at a time

    async def has_passed(self, mark: int) -> bool:
        return True

    async def count_time(self, until: Instant) -> None:
        await self._turn(lambda: self._kept(self._note(lambda known: max(known, until), "counted")))

    async def set_time_back(self, now: Instant) -> None:
        await self._turn(
            lambda: self._kept(self._note(lambda known: min(known, now), "counted", "forgotten"))
        )

    async def _note(self, change: Callable[[Instant], Instant], *names: str) -> None:
        for name in names:
            self._store.put("number", name, change(self._store.get("number", name, 0)))

    async def ready(self) -> str | None:
        return CLOSED if self._closed else self._journal.failed

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._thread.shutdown)  # what waits for its turn still gets it
            self._journal.close()


async def open_file(url: str) -> Backend:
    """Open `file:///PATH`, a folder, made where it is missing; raises DatabaseUnfit."""
    path = url.removeprefix("file://")
    if not path.startswith("/") or path == "/":
        raise DatabaseUnfit(f"{url!r} names no folder: write file:///PATH")
    journal = Journal(Path(path))
    try:
        return FileBackend(journal)
    except BaseException:
        journal.close()
        raise
