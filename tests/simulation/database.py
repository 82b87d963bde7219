"""Where ipamd keeps its tables while time is simulated: a file of SQLite's, or a database of PostgreSQL's."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Protocol, TypeVar
from unittest.mock import patch

from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.connections import Connections, Purpose
from ipamd.backends.sql.sqlite import backend as sqlite_backend
from ipamd.backends.sql.sqlite.writer import Writer
from tests.postgres import shared_postgres
from tests.simulation.time import Time

T = TypeVar("T")


class Database(Protocol):
    """A database that outlives ipamd, and can be put back."""

    @property
    def url(self) -> str:
        """Where ipamd finds it."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """Let no time pass, for somebody waits for the database outside any unit of work."""
        ...

    def back_up(self) -> None:
        """Keep it as it is now."""
        ...

    def put_back(self) -> bool:
        """Have the last backup in its place, while nobody uses it. Whether there is one."""
        ...


class SameThread(Writer):
    """SQLite's writer, without a thread of its own: so each history is the same each time."""

    def __init__(self) -> None:
        pass

    async def run(self, call: Callable[[], T]) -> T:
        return call()

    async def end(self) -> None:
        pass


class SqliteFile:
    """A file of SQLite's. What it is asked takes no time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._backups: list[Path] = []
        self.url = f"sqlite:///{path}"

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    def back_up(self) -> None:
        backup = self._path.with_name(f"backup-{len(self._backups)}")
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        self._backups.append(backup)

    def put_back(self) -> bool:
        if not self._backups:
            return False
        for ending in ("-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(self._backups.pop(), self._path)
        return True


class PostgresDatabase:
    """A database of the tests' PostgreSQL. While a unit of work runs in it, no time passes."""

    def __init__(self, name: str, passing: Time) -> None:
        self._name = name
        self._time = passing
        self._backups: list[str] = []
        self.url = shared_postgres().url(name)

    def at_work(self) -> AbstractContextManager[None]:
        return self._time.stands()

    def back_up(self) -> None:
        self._backups.append(shared_postgres().dump(self._name))

    def put_back(self) -> bool:
        if not self._backups:
            return False
        shared_postgres().put_back(self._name, self._backups.pop())
        return True


@contextmanager
def sqlite_file(folder: Path, empty: bytes) -> Iterator[SqliteFile]:
    """A new file, which begins as `empty`."""
    path = folder / "ipamd.sqlite"
    path.write_bytes(empty)
    with patch.object(sqlite_backend, "Writer", SameThread):
        yield SqliteFile(path)


@contextmanager
def postgres_database(passing: Time) -> Iterator[PostgresDatabase]:
    """A new database."""
    session = Connections.session

    @asynccontextmanager
    async def at_work(
        connections: Connections, purpose: Purpose, seconds: float
    ) -> AsyncIterator[PostgresSession]:
        with passing.stands():
            async with session(connections, purpose, seconds) as found:
                yield found

    with ExitStack() as stack:
        name = stack.enter_context(shared_postgres().migrated())
        stack.enter_context(patch.object(Connections, "session", at_work))
        yield PostgresDatabase(name, passing)
