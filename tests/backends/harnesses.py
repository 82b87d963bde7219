"""Databases of each kind for the suite; a process that runs the suite is told one of these by name."""

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from ipamd.backends.conformance import Harness, InFolder
from ipamd.backends.interface import Backend
from tests import migrated
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
    """Files that need no migrating."""

    def __init__(self) -> None:
        super().__init__("sqlite:///{folder}/ipamd.sqlite")

    @contextmanager
    def database(self) -> Iterator[str]:
        with super().database() as url:
            migrated.put(Path(url.removeprefix("sqlite:///")))
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
