"""One open database, and how units of work are run in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ipamd.backends.interface.audit import Audit
from ipamd.backends.interface.catalogue_change import CatalogueChange
from ipamd.backends.interface.ledger import Ledger
from ipamd.backends.interface.transaction import Transaction
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

T = TypeVar("T")


class InDoubt(Exception):
    """The database did not say whether a unit of work was kept: settled again, its holders' rows tell."""


@dataclass(frozen=True, slots=True)
class Undone(Generic[T]):
    """The answer of a dry run: a unit of work that returns this is undone, and its caller gets the value."""

    value: T


@dataclass(frozen=True, slots=True)
class SkipLocks:
    """Pass over what another unit of work holds; `find` and `lock` say what was passed over."""


@dataclass(frozen=True, slots=True)
class WaitForLocks:
    """Wait for what another unit of work holds, so many seconds for all of it."""

    seconds: float


LockPolicy = SkipLocks | WaitForLocks
"""What a unit of work does about the locks of others, if units of work run beside each other."""

SKIP_LOCKS: Final = SkipLocks()

Work = Callable[[Transaction], Coroutine[Any, Any, T | Undone[T]]]
Change = Callable[[CatalogueChange], Coroutine[Any, Any, T | Undone[T]]]


class Backend(Protocol):
    """One open database. Opened by the function that the entry point of the URL's scheme names.

    Where a database serves one process at a time, a second opening is refused with `DatabaseUnfit`.
    """

    ledger: Ledger
    audit: Audit

    @property
    def lanes(self) -> int:
        """How many units of work are worth having under way at once."""
        ...

    def transact(self, work: Work[T], locks: LockPolicy = SKIP_LOCKS) -> Awaitable[T]:
        """Run one unit of work to its end and make it durable, or undo it if it returns `Undone`.

        An exception undoes it and is passed on. A unit of work that waits for anything but its own
        transaction is undone with `RuntimeError`. If the caller goes away, it is kept whole or undone. One
        that met others may be undone and run again from its beginning, so that what it does outside the
        transaction must not count.

        A unit of work that waits for locks is refused with `Unavailable` when its seconds are over. Raises
        `InDoubt` when the commit went unanswered.
        """
        ...

    def change(self, work: Change[T]) -> Awaitable[T]:
        """Run one change of the catalogue, in the same way."""
        ...

    async def record_contacts(self, contacts: Mapping[NodeKey, Instant]) -> None:
        """Write when nodes were last heard from, in one statement."""
        ...

    async def record_uses(self, uses: Mapping[int, Instant]) -> None:
        """Write when tokens were last used, by their ids, in one statement."""
        ...

    async def forget_releases(self, before: Instant) -> None:
        """Drop the remembered releases whose `until` is not after `before`, in small pieces."""
        ...

    async def forget_history(self, before: Instant, after: int) -> int | None:
        """Drop allocations with ids above `after` that ended until `before`, as many as nobody notices.

        Answers the id up to which it looked; None when there are no more, or another process is at it.
        """
        ...

    async def ready(self) -> str | None:
        """None when the database answers and its schema fits, else the sentence that says what is wrong."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let the database go; work is refused with `Unavailable` from then on.

        `ready` says then that it is closed; closing again does nothing.
        """
        ...
