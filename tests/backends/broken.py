"""Six databases in memory that each break one promise, in a way in which a backend might."""

from collections.abc import Sequence
from typing import Any

from ipamd.backends.interface import SKIP_LOCKS, BlockId, BlockSearch, Changes, Locked, LockPolicy, Work
from ipamd.backends.memory.backend import MemoryBackend
from ipamd.backends.memory.ledger import MemoryLedger
from ipamd.backends.memory.transaction import MemoryTransaction
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.query import AllocationQuery


class Variant(MemoryBackend):
    """Memory with another transaction."""

    transaction: type[MemoryTransaction] = MemoryTransaction

    async def transact(self, work: Work[Any], locks: LockPolicy = SKIP_LOCKS) -> Any:
        return self._run(work(self.transaction(self._tables)))


class LostUniqueness(Variant):
    """The space is not a part of what is unique: it is the pool that an address must be unique in."""

    class transaction(MemoryTransaction):  # noqa: N801 - stands for an attribute
        async def write(self, changes: Changes) -> None:
            by_address = self._tables.allocations.by_address
            for row in changes.begun:
                held = by_address.get((row.space, row.address), {}).get(0)
                if held is not None and self._tables.allocations.rows[held].pool != row.pool:
                    self._tables.journal.drop(by_address, (row.space, row.address))
            await super().write(changes)


class LostRollback(Variant):
    """What was carved stays, though its unit of work failed."""

    class transaction(MemoryTransaction):  # noqa: N801 - stands for an attribute
        async def carve(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> int:
            new = await super().carve(pool, blocks, cursor)
            self._tables.journal.keep()
            return new


class StaleRead(Variant):
    """A block is read as it was when somebody first read it."""

    def __init__(self) -> None:
        super().__init__()
        first_read: dict[BlockId, Locked] = {}

        class Transaction(MemoryTransaction):
            async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
                locked = await super().lock(searches)
                return [
                    first_read.setdefault(search, found) if isinstance(search, BlockId) else found
                    for search, found in zip(searches, locked, strict=True)
                ]

        self.transaction = Transaction


class ForgottenRelease(Variant):
    """The release of a holder that had nothing is not remembered."""

    class transaction(MemoryTransaction):  # noqa: N801 - stands for an attribute
        async def write(self, changes: Changes) -> None:
            if not changes.ended:
                changes.remembered.clear()
            await super().write(changes)


class ReorderedLocks(Variant):
    """Searches by number are answered first, as one statement would find them."""

    class transaction(MemoryTransaction):  # noqa: N801 - stands for an attribute
        async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
            return await super().lock(sorted(searches, key=lambda one: not isinstance(one, BlockId)))


class WrongPage(Variant):
    """A page goes on behind the id of the last row, not behind its place in the list."""

    class _Ledger(MemoryLedger):
        async def page(self, query: AllocationQuery, after: int | None, limit: int) -> Sequence[Allocation]:
            rows = await super().page(query, None, 1_000_000)
            return [row for row in rows if row.id is not None and row.id > (after or 0)][:limit]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self._Ledger(self._tables)
