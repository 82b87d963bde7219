"""SQLite files with today's schema: copies of one, for a service's first start is mostly the migrating."""

import os
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from ipamd.backends.sql.sqlite import migrating


def put(path: Path) -> None:
    """Put an empty database there, as `ipamd migrate` makes it: no two have the same key for receipts."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(empty())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE receipt_key SET key = randomblob(32)")


@cache
def empty() -> bytes:
    """An empty database, as a file."""
    with tempfile.TemporaryDirectory(prefix="ipamd-") as folder:
        path = Path(folder) / "ipamd.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrating.apply(connection)
        return path.read_bytes()
