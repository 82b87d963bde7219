"""Databases of each kind for the suite; a process that runs the suite is told one of these by name."""

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from ipamd.backends.conformance import Harness, InFolder
from ipamd.backends.interface import Backend
from ipamd.backends.sql.sqlite import migrating
from tests.backends import broken
from tests.pgbouncer import ROOMY, pgbouncer, url_through
from tests.postgres import shared_postgres


class Memory(Harness):
    """Databases that end with their process."""

    lasting = False

    @contextmanager
    def database(self) -> Iterator[str]:
        yield "memory://"


class Sqlite(InFolder):
    """Copies of one migrated file: most of a test's time would be the migrating."""

    def __init__(self) -> None:
        super().__init__("sqlite:///{folder}/ipamd.sqlite")
        self._folder = tempfile.TemporaryDirectory(prefix="ipamd-")

    @cached_property
    def _migrated(self) -> Path:
        path = Path(self._folder.name) / "ipamd.sqlite"
        connection = sqlite3.connect(path, isolation_level=None)
        migrating.apply(connection)
        connection.close()
        return path

    @contextmanager
    def database(self) -> Iterator[str]:
        with super().database() as url:
            shutil.copy(self._migrated, url.removeprefix("sqlite:///"))
            yield url


class Postgresql(Harness):
    """Databases of a server that is started for the process of the suite, and ends with it."""

    shared = True

    @contextmanager
    def database(self) -> Iterator[str]:
        server = shared_postgres()
        with server.migrated() as name:
            yield server.url(name)


class Pooled(Harness):
    """Databases of that server behind a PgBouncer that gives each transaction another connection."""

    shared = True

    def __init__(self) -> None:
        self._stack = ExitStack()
        atexit.register(self._stack.close)

    @cached_property
    def _bouncer(self) -> str:
        return self._stack.enter_context(pgbouncer(shared_postgres(), pool=ROOMY))

    @contextmanager
    def database(self) -> Iterator[str]:
        with shared_postgres().migrated() as name:
            yield url_through(self._bouncer, name)


class Broken(Memory):
    """A variant of memory that breaks one promise."""

    def __init__(self, variant: type[Backend]) -> None:
        self._variant = variant

    async def open(self, url: str) -> Backend:
        return self._variant()


MEMORY: Final = Memory()
SQLITE: Final = Sqlite()
POSTGRESQL: Final = Postgresql()
POOLED: Final = Pooled()
FILE: Final = InFolder("file://{folder}/database")

LOST_UNIQUENESS: Final = Broken(broken.LostUniqueness)
LOST_ROLLBACK: Final = Broken(broken.LostRollback)
STALE_READ: Final = Broken(broken.StaleRead)
FORGOTTEN_RELEASE: Final = Broken(broken.ForgottenRelease)
REORDERED_LOCKS: Final = Broken(broken.ReorderedLocks)
WRONG_PAGE: Final = Broken(broken.WrongPage)
