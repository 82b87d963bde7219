"""Connections to PostgreSQL: where they lead, how they plan, and how statements run on one."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from ipamd.backends.sql.session import Compiled, Statement, Values, compiled
from ipamd.models.errors import DatabaseUnfit

Connection = Any
"""An asyncpg connection: the driver has no types of its own."""

CONNECT_SECONDS: Final = 5.0

CACHED_STATEMENTS: Final = 512

SETTINGS: Final = {
    "application_name": "ipamd",
    # Every statement has its index. A plan is kept for as long as the connection lives, and one that was
    # made while a table was small must serve when it has grown: so nothing that reads a table whole.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def place_of(url: str) -> str:
    """A URL's database as a sentence names it, without user and password."""
    try:
        parts = urlsplit(url)
        host = parse_qs(parts.query).get("host", [parts.netloc.rpartition("@")[2] or "localhost"])[0]
    except ValueError:
        return "that the URL means"
    return f"{parts.path.lstrip('/') or '(of the user)'!s} on {host}"


async def connect(url: str, **settings: str) -> Connection:
    """A connection; raises what the driver raises, DatabaseUnfit for a URL that it does not understand."""
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            statement_cache_size=CACHED_STATEMENTS,
            server_settings={**SETTINGS, **settings},
        )
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise DatabaseUnfit(
            f"the database's address is not one ({error}): write postgresql://USER@HOST:5432/DATABASE"
        ) from None


@cache
def ready(statement: Statement) -> Compiled:
    """A statement as asyncpg takes it."""
    return compiled(statement, PGDialect_asyncpg())  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class PostgresSession:
    """See `Session`. What SQLAlchemy compiled goes straight to the driver, which prepares it once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asking = False
        """Whether an answer of the database is being waited for."""

    async def fetch(self, statement: Statement, *values: Any) -> Sequence[Sequence[Any]]:
        prepared = ready(statement)
        rows: Sequence[Sequence[Any]] = await self._asked(
            self._connection.fetch(prepared.text, *prepared.arranged(values))
        )
        return rows

    async def run(self, statement: Statement, *values: Any) -> int:
        prepared = ready(statement)
        tag = await self._asked(self._connection.execute(prepared.text, *prepared.arranged(values)))
        return int(tag.rpartition(" ")[2])

    async def run_many(self, statement: Statement, rows: Sequence[Values]) -> int:
        """One round trip for each row: what has many rows uses arrays instead."""
        return sum([await self.run(statement, *row) for row in rows])

    async def say(self, text: str) -> str:
        """Run plain text that has no parameters; the server's tag."""
        tag: str = await self._asked(self._connection.execute(text))
        return tag

    async def _asked(self, question: Awaitable[Any]) -> Any:
        self.asking = True
        try:
            return await question
        finally:
            self.asking = False
