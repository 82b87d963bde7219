"""What PostgreSQL and its driver report, in the domain's words: mapped here once."""

from __future__ import annotations

from typing import Final

import asyncpg

from ipamd.backends.interface import ConstraintViolated
from ipamd.models.errors import DatabaseUnfit, Unavailable

DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # when the server ends a connection in the middle of something
    OSError,
    TimeoutError,
)
"""All that a call of the driver raises when it is the database, or the way to it, that failed."""

OURS: Final = (asyncpg.DataError, asyncpg.SyntaxOrAccessError, ValueError)
"""Errors in what was asked or written, not of the database; but for those that have a sentence below."""

GONE: Final = (
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a primary no longer
    asyncpg.AdminShutdownError,  # 57P01
    asyncpg.CrashShutdownError,  # 57P02
    asyncpg.CannotConnectNowError,  # 57P03: it starts, or stops
    asyncpg.PostgresConnectionError,  # 08*
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""After one of these no connection to that server is worth keeping: another may serve in its place."""

SENTENCES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (asyncpg.LockNotAvailableError, "others have locked what the call needs: try again"),
    (asyncpg.QueryCanceledError, "the database took too long: try again"),
    (asyncpg.DeadlockDetectedError, "the database ended a deadlock: try again"),
    (asyncpg.SerializationError, "others changed the same rows at the same time: try again"),
    (asyncpg.ReadOnlySQLTransactionError, "the database is read-only: name the primary"),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "no host takes writes: name the primary too, or wait until there is one",
    ),
    (asyncpg.InsufficientPrivilegeError, "a privilege is missing: see docs/postgresql.md, `Privileges`"),
    (
        asyncpg.UndefinedTableError,
        "its schema does not fit this ipamd: run `ipamd migrate`, or install another",
    ),
    (
        asyncpg.UndefinedColumnError,
        "its schema does not fit this ipamd: run `ipamd migrate`, or install another",
    ),
    (asyncpg.TooManyConnectionsError, "it has no free connection: raise its max_connections"),
)

CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (asyncpg.DeadlockDetectedError, "deadlock"),
    (asyncpg.LockNotAvailableError, "lock"),
    (asyncpg.QueryCanceledError, "timeout"),
    (asyncpg.IdleInTransactionSessionTimeoutError, "silence"),
    (asyncpg.ReadOnlySQLTransactionError, "read_only"),
    (asyncpg.PostgresConnectionError, "connection"),
    (asyncpg.TooManyConnectionsError, "connection"),
    (asyncpg.OperatorInterventionError, "connection"),
)

LOSSES: Final = ("silence", "connection")
"""The causes that end a connection."""


def translated(error: Exception) -> Exception:
    """The error that the engine is told; the same one if the fault is in what was written."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ConstraintViolated(str(error))
    known = isinstance(error, tuple(kind for kind, _ in SENTENCES))
    if isinstance(error, OURS) and not known:
        return error
    return Unavailable(sentence(error), cause(error))


def cause(error: Exception) -> str:
    """What failed, in a word for counting."""
    for kind, word in CAUSES:
        if isinstance(error, kind):
            return word
    return "other" if isinstance(error, asyncpg.PostgresError) else "connection"


def sentence(error: Exception) -> str:
    """What failed, and what to do about it."""
    for kind, what in SENTENCES:
        if isinstance(error, kind):
            return f"the database cannot serve: {what} ({said(error)})"
    return f"the database does not answer: {said(error)}"


def unreachable(error: Exception) -> str:
    """Why no connection can be had."""
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return sentence(error)
    return f"the database cannot be reached: {said(error)}"


def said(error: Exception) -> str:
    """An error's own words in one line; some have none."""
    return " ".join(str(error).split()) or type(error).__name__


def cannot_open(place: str, error: Exception) -> DatabaseUnfit:
    """Why a database cannot be opened, named by its place, without the password."""
    match error:
        case asyncpg.InvalidCatalogNameError():
            what = "it does not exist: create it with encoding UTF8, then run `ipamd migrate`"
        case asyncpg.InvalidAuthorizationSpecificationError():
            what = f"it refuses the log-in ({said(error)}): check user and password"
        case asyncpg.PostgresError() | asyncpg.TargetServerAttributeNotMatched():
            what = sentence(error)
        case TimeoutError():
            what = "it does not answer in time: check that it runs, and that this machine can reach it"
        case OSError():
            what = f"it cannot be reached ({said(error)}): check that it runs, and that the address is right"
        case _:
            what = said(error)
    return DatabaseUnfit(f"the database {place} cannot be opened: {what}")
