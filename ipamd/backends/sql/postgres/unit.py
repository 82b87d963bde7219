"""One unit of work from BEGIN to COMMIT, bounded in every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ipamd.backends.interface import InDoubt, Undone
from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, GONE, said, translated
from ipamd.models.errors import Unavailable

T = TypeVar("T")

IDLE_SECONDS: Final = 2.0
"""After so long without a word from us inside a transaction the server ends it, and its locks with it."""

BATCH_IDLE_SECONDS: Final = 1.0
"""The same for a batch, whose locks all others need."""

WAITING_IDLE_SECONDS: Final = 0.5
"""The same where it waits for locks: if a process hangs then, its transactions get them one after another."""

STATEMENT_SECONDS: Final = 5.0
"""No statement runs longer, but for what it waits for locks."""

GRACE_SECONDS: Final = 5.0
"""So much longer than the server's own bounds we wait for the server: then the way to it is cut."""

READ_ONLY: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
READ_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How a transaction begins, and how long it may wait, in seconds.

    `locks` for each lock, `whole` for all of it, `idle` for a word from us. `planned_once` is for units of
    work whose statements find rows by their keys: they are not planned anew for the values of each call.
    """

    begin: str
    locks: float
    whole: float
    idle: float = IDLE_SECONDS
    planned_once: bool = False

    def opening(self, settings: Mapping[str, str]) -> str:
        """One message that begins the transaction and sets its bounds, and more settings, for it alone."""
        more = "".join(f", set_config({quoted(key)}, {quoted(to)}, true)" for key, to in settings.items())
        if self.planned_once:
            more += ", set_config('plan_cache_mode', 'force_generic_plan', true)"
        locks = milliseconds(self.locks)
        return (
            f"{self.begin}; SELECT "
            # Never less than a commit that is on disk; a cluster that wants more keeps it.
            "set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
            " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true), "
            f"set_config('lock_timeout', '{locks}', true), "
            f"set_config('statement_timeout', '{locks + milliseconds(STATEMENT_SECONDS)}', true), "
            f"set_config('idle_in_transaction_session_timeout', '{milliseconds(self.idle)}', true)"
            f"{more}"
        )


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def milliseconds(seconds: float) -> int:
    """For a setting of the server, where 0 means no bound."""
    return max(1, round(seconds * 1000))


async def run_unit(session: PostgresSession, bounds: Bounds, work: Coroutine[Any, Any, T | Undone[T]]) -> T:
    """Run a unit of work and make it durable, or undo it if it answers `Undone`.

    Raises what it raises, the database's errors mapped, and NotBegun.

    The transaction of one that failed is left open, for the caller to end with the connection or without.
    """
    try:
        async with asyncio.timeout(bounds.whole):
            session.begin(bounds.opening(session.settings))
            result = await _Alone(work, session)
            if isinstance(result, Undone):
                await session.say("ROLLBACK")
                return result.value
        await _commit(session, bounds)
    except DRIVER_ERRORS as error:
        session.lost |= isinstance(error, GONE)
        raise translated(error) from error
    finally:
        work.close()
    return result


async def _commit(session: PostgresSession, bounds: Bounds) -> None:
    """Make durable what was done; raises InDoubt if the answer is lost."""
    try:
        async with asyncio.timeout(STATEMENT_SECONDS + GRACE_SECONDS):
            tag, warned = await session.say_and_listen("COMMIT")
    except DRIVER_ERRORS as error:
        if bounds.begin == READ_ONLY:
            raise
        session.lost = True  # it may be alone, and wait for a standby that has become the primary
        raise InDoubt(f"the database did not answer a commit: {said(error)}") from error
    if warned:
        # Whoever ends a commit's wait for the standby (pg_cancel_backend) has it answered so, with a yes.
        session.lost = True
        raise InDoubt(f"the database committed with a warning: {warned}")
    if tag != "COMMIT":
        raise Unavailable("the database undid the transaction: try again")


class _Alone(Awaitable[T], Generic[T]):
    """A unit of work that may wait for its own transaction only: anything else would keep its locks."""

    def __init__(self, work: Coroutine[Any, Any, T], session: PostgresSession) -> None:
        self._work = work
        self._session = session

    def __await__(self) -> Generator[Any, Any, T]:
        try:
            asked = self._work.send(None)
            while True:
                if not self._session.asking:
                    raise RuntimeError("a unit of work may wait for its own transaction only")
                try:
                    answer = yield asked
                except BaseException as error:  # noqa: BLE001  # handed to the work, as `yield from` does
                    asked = self._work.throw(error)
                else:
                    asked = self._work.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
