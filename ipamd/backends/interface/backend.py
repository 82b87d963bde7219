"""One open database, and how it runs units of work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ipamd.backends.interface.audit import Audit
from ipamd.backends.interface.catalogue_change import CatalogueChange
from ipamd.backends.interface.ledger import Ledger
from ipamd.backends.interface.line import Line
from ipamd.backends.interface.transaction import Transaction
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

T = TypeVar("T")


class InDoubt(Exception):
    """The database did not say whether it stored a unit of work.

    Settled again, the rows of its holders show it.
    """


@dataclass(frozen=True, slots=True)
class Undone(Generic[T]):
    """The answer of a dry run.

    If a unit of work returns it, the unit is undone, and the caller gets the value.
    """

    value: T


@dataclass(frozen=True, slots=True)
class SkipLocks:
    """Skip what another unit of work has locked. `find` and `lock` say what was skipped."""


@dataclass(frozen=True, slots=True)
class WaitForLocks:
    """Wait for the locks of other units of work, at most this many seconds in all."""

    seconds: float


LockPolicy = SkipLocks | WaitForLocks
"""How a unit of work treats the locks of others, if units of work run at the same time."""

SKIP_LOCKS: Final = SkipLocks()

Work = Callable[[Transaction], Coroutine[Any, Any, T | Undone[T]]]
Change = Callable[[CatalogueChange], Coroutine[Any, Any, T | Undone[T]]]


class Backend(Protocol):
    """One open database. The function that the entry point of the URL's scheme names opens it.

    If a database serves one process at a time, a second opening is refused with `DatabaseUnfit`.
    """

    ledger: Ledger
    audit: Audit
    line: Line

    @property
    def lanes(self) -> int:
        """How many units of work should be under way at once."""
        ...

    def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> Awaitable[T]:
        """Run a unit of work to its end and make it durable. If it returns `Undone`, undo it.

        An exception undoes it and is passed on. A unit of work that waits for anything but its own
        transaction is undone with `RuntimeError`. If the caller goes away, it is stored whole or undone. A
        unit of work that conflicts with others may be undone and run again from its beginning, so what it
        does outside the transaction must not matter. A unit of work that waits for locks is refused with
        `Unavailable` when its seconds are over.

        Raises `InDoubt` if the commit was not answered.
        """
        ...

    def change(self, work: Change[T]) -> Awaitable[T]:
        """Run a change of the catalogue, in the same way."""
        ...

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        """Write when nodes last called, in one statement."""
        ...

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        """Write when tokens were last used, by their ids, in one statement."""
        ...

    async def forget_releases(self, before: Instant) -> None:
        """Drop the remembered releases whose `until` is not after `before`, in small pieces."""
        ...

    async def forget_former(self, before: Instant) -> bool:
        """Drop former addresses whose `until` is not after `before`, so few that nobody notices.

        Returns whether there may be more.
        """
        ...

    async def shorten_releases(self, until: Instant) -> int:
        """Let no remembered release have an `until` after this one. Returns how many had."""
        ...

    async def forget_history(self, before: Instant, after: int) -> int | None:
        """Drop allocations with ids above `after` that ended until `before`, so few that nobody notices.

        Returns the id up to which it looked. None if there are no more, or if another process is dropping.
        """
        ...

    async def forget_log(self, before: Instant) -> bool:
        """Drop entries of the change log that were written until `before`, so few that nobody notices.

        Returns whether there may be more.
        """
        ...

    async def forget_requests(self, before: Instant) -> bool:
        """Drop requests that were approved or refused until `before`, so few that nobody notices.

        Returns whether there may be more.
        """
        ...

    async def sample_usage(self, hour: Instant) -> None:
        """Note how many addresses of each pool are allocated, in one statement.

        If there are samples of this hour, nothing is done: each hour is sampled once, by whichever process.
        """
        ...

    async def forget_samples(self, before: Instant) -> bool:
        """Drop samples of hours that began until `before`, so few that nobody notices.

        Returns whether there may be more.
        """
        ...

    async def mark(self) -> int:
        """A mark behind all that has begun to write, for `has_passed`."""
        ...

    async def has_passed(self, mark: int) -> bool:
        """Whether all has ended that had begun to write when a mark was made."""
        ...

    async def count_time(self, until: Instant) -> None:
        """Note how far time has been counted. The note is never lowered here."""
        ...

    async def set_time_back(self, now: Instant) -> None:
        """Lower what is noted of time itself, and is after `now`, to `now`."""
        ...

    async def ready(self) -> str | None:
        """None if the database answers and its schema fits, else a sentence that says what is wrong."""
        ...

    async def close(self) -> None:
        """Finish what is under way, and close the database. Later work is refused with `Unavailable`.

        `ready` then says that it is closed. Closing again does nothing.
        """
        ...
