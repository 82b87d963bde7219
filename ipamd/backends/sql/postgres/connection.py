"""Connections to PostgreSQL: how they are found and how they plan, and how statements run on one."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from ipamd.backends.sql.postgres.address import Address, Host, wrong
from ipamd.backends.sql.postgres.errors import DRIVER_ERRORS, GONE, sentence
from ipamd.backends.sql.session import Compiled, Statement, Values, compiled

Connection = Any
"""An asyncpg connection: the driver has no types of its own."""

CONNECT_SECONDS: Final = 5.0

HOST_SECONDS: Final = 2.0
"""How long each of several hosts is waited for: one that is cut off must not keep the next one waiting."""

CACHED_STATEMENTS: Final = 512

PLANS: Final = MappingProxyType(
    {
        # Every statement has its index. A plan is kept for as long as the connection lives, and one that was
        # made while a table was small must serve when it has grown: so nothing that reads a table whole.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
    }
)
NAME: Final = MappingProxyType({"application_name": "ipamd"})


class Door:
    """The way into one database: which of its hosts serves, and whether a pooler stands before it.

    A pooler gives each transaction another connection to the server. Behind one nothing is set for a session
    and no statement is prepared for longer than it runs: `settings` are what each transaction then sets for
    itself, and empty if they stand for the whole connection.
    """

    def __init__(self, address: Address, plans: Mapping[str, str] = PLANS) -> None:
        self.address = address
        self.pooled = False
        self._wanted = {**plans, **address.settings}
        self._serving = 0

    @property
    def settings(self) -> Mapping[str, str]:
        return self._wanted if self.pooled else {}

    async def open(self) -> Connection:
        """A connection to the host that served last, or the next one that takes writes.

        Raises what the driver raises, DatabaseUnfit for a URL that it does not understand.
        """
        hosts = self.address.hosts
        if not hosts:
            return await self._open(None, self.address.seconds or CONNECT_SECONDS)
        failure: Exception | None = None
        for turn in range(len(hosts)):
            at = (self._serving + turn) % len(hosts)
            try:
                connection = await self._open(hosts[at], self.address.seconds or HOST_SECONDS)
            except DRIVER_ERRORS as error:
                failure = error if failure is None or not isinstance(error, OSError) else failure
            else:
                self._serving = at
                return connection
        raise failure or OSError("no host is named")

    def turn_away(self) -> None:
        """Begin with the next host: the one that served no longer does."""
        self._serving += 1

    async def _open(self, host: Host | None, seconds: float) -> Connection:
        if not self.pooled:
            try:
                connection = await self._connect(host, seconds, {**NAME, **self._wanted}, CACHED_STATEMENTS)
            except asyncpg.ProtocolViolationError:
                self.pooled = True  # PgBouncer takes none of our settings when a connection begins
            else:
                if await _leads_to_its_server(connection):
                    return connection
                await connection.close()
                self.pooled = True
        return await self._connect(host, seconds, NAME, 0)

    async def _connect(
        self, host: Host | None, seconds: float, settings: Mapping[str, str], cached: int
    ) -> Connection:
        certain = {} if host is None else {"host": host.name, "port": host.port}
        try:
            return await asyncpg.connect(
                self.address.url,
                timeout=seconds,
                statement_cache_size=cached,
                server_settings=dict(settings),
                **certain,
            )
        except (ValueError, asyncpg.ClientConfigurationError) as error:
            raise wrong(str(error)) from None


async def _leads_to_its_server(connection: Connection) -> bool:
    """Whether the server's process is the one that was named when the connection began: a pooler's is not.

    Asked in plain text, so that nothing is prepared where others would find it.
    """
    told = connection.get_server_pid()
    tag: str = await connection.execute(f"SELECT 1 WHERE pg_backend_pid() = {told}")
    return tag == "SELECT 1"


class NotBegun(Exception):
    """The connection was lost before anything was done on it; another one may serve."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(sentence(cause))
        self.cause = cause


@cache
def ready(statement: Statement) -> Compiled:
    """A statement as asyncpg takes it."""
    return compiled(statement, PGDialect_asyncpg())  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class PostgresSession:
    """See `DatabaseSession`. What SQLAlchemy compiled goes straight to the driver, which prepares it once.

    `settings` are those that each transaction must set for itself. All that asks or says something raises
    NotBegun if it is the first of a transaction, and the connection is lost.
    """

    def __init__(self, connection: Connection, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self._connection = connection
        self.settings = settings
        self.asking = False
        """Whether an answer of the database is being waited for."""
        self.lost = False
        """Whether the server turned out to be one that does not serve, or not to be there."""
        self._opening: str | None = None

    def begin(self, opening: str) -> None:
        """Begin a transaction by the first message that is sent: it has no round trip of its own."""
        self._opening = opening

    async def fetch(self, statement: Statement, *values: Any) -> Sequence[Sequence[Any]]:
        await self._open()
        prepared = ready(statement)
        rows: Sequence[Sequence[Any]] = await self._asked(
            self._connection.fetch(prepared.text, *prepared.arranged(values))
        )
        return rows

    async def run(self, statement: Statement, *values: Any) -> int:
        await self._open()
        prepared = ready(statement)
        tag = await self._asked(self._connection.execute(prepared.text, *prepared.arranged(values)))
        return int(tag.rpartition(" ")[2])

    async def run_many(self, statement: Statement, rows: Sequence[Values]) -> int:
        """One round trip for each row: what has many rows uses arrays instead."""
        return sum([await self.run(statement, *row) for row in rows])

    async def say(self, text: str) -> str:
        """Run plain text that has no parameters; the server's tag."""
        opening, self._opening = self._opening, None
        if opening is not None:
            return await self._say_first(f"{opening}; {text}")
        tag: str = await self._asked(self._connection.execute(text))
        return tag

    async def _open(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            await self._say_first(opening)

    async def _say_first(self, text: str) -> str:
        try:
            tag: str = await self._asked(self._connection.execute(text))
        except DRIVER_ERRORS as error:
            self.lost |= isinstance(error, GONE)
            raise NotBegun(error) from error
        return tag

    async def say_and_listen(self, text: str) -> tuple[str, str | None]:
        """The same, with the warning that came before the tag, None if none did."""
        heard: list[str] = []

        def hear(_connection: Connection, message: Any) -> None:
            if message.severity_en == "WARNING":
                heard.append(message.message)

        self._connection.add_log_listener(hear)
        try:
            tag = await self.say(text)
        finally:
            self._connection.remove_log_listener(hear)
        return tag, heard[0] if heard else None

    async def _asked(self, question: Awaitable[Any]) -> Any:
        self.asking = True
        try:
            return await question
        finally:
            self.asking = False
