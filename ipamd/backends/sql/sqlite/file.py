"""The file of an embedded database: its path, its permissions, its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ipamd.models.errors import DatabaseUnfit

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LOCK_SUFFIX: Final = ".lock"


def path_of(url: str) -> Path:
    """The file of `sqlite:///PATH`. An absolute path has four slashes."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnfit(f"{url!r} is not the URL of a database: write sqlite:///PATH") from None
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnfit(
            f"{url!r} names no file: write sqlite:///PATH, or memory:// for a database in memory"
        )
    return Path(parsed.database).absolute()


class DatabaseFile:
    """A database file that only this process may use until it is closed.

    The lock is on a file beside it. SQLite has locks of its own on the database, and closing any other
    descriptor of it would drop them (POSIX, "advisory record locks"). The kernel releases our lock when the
    process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._make_folder()
            self._lock = _opened(path.with_name(path.name + LOCK_SUFFIX))
        except OSError as error:
            raise DatabaseUnfit(f"the database {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(_opened(path))
        except BlockingIOError as error:
            os.close(self._lock)
            raise DatabaseUnfit(
                f"another ipamd uses the database {path}: stop that one first, or name another file"
            ) from error
        except OSError as error:
            os.close(self._lock)
            raise DatabaseUnfit(f"the database {path} cannot be opened: {error.strerror}") from error

    def _make_folder(self) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def let_go(self) -> None:
        """Release the lock, so that another ipamd may have the file."""
        os.close(self._lock)


def _opened(path: Path) -> int:
    """A descriptor to read and write a file. It is created if it is missing; others may not read it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    if os.fstat(descriptor).st_mode & 0o077:
        os.fchmod(descriptor, FILE_MODE)
    return descriptor
