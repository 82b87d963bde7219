"""The journal's file, laid out in advance.

A file that grows costs each commit a second write, that of its new size. After each checkpoint SQLite goes on
at the journal's beginning; what lies behind the last commit means nothing (SQLite, "WAL File Format").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1 << 20
PIECE: Final = 2 * MEBIBYTE
"""So much is laid out at once: calls come between two pieces."""

WRITTEN_AT_ONCE: Final = 64 * 1024
"""Linux may keep what one call wrote as one folio, and looks at all of it whenever a part is written anew.

With 2 MiB a page of the journal costs 9 microseconds of CPU, with 64 KiB 3 (docs/decisions/0057-tail.md).
"""

SHARE: Final = 16
"""The journal takes one part in so many of what is free on the disk at most."""

SUFFIX: Final = "-wal"


def lengthen(database: Path, length: int) -> bool:
    """Lengthen the journal by a piece of zeros towards `length` bytes; whether it has to go on.

    For a unit of work, whose lock keeps everybody else from writing: the zeros would overwrite what another
    sqlite3 on the database commits now. Where the disk has little room it is left as it is. Raises OSError.
    """
    journal = os.open(database.with_name(database.name + SUFFIX), os.O_WRONLY | os.O_CLOEXEC)
    try:
        reached = os.fstat(journal).st_size
        room = os.fstatvfs(journal)
        if reached >= length or room.f_bavail * room.f_frsize < SHARE * (length - reached):
            return False
        # Written, not only allocated: the first write to what was allocated changes the file's extents.
        end = min(reached + PIECE, length)
        for at in range(reached, end, WRITTEN_AT_ONCE):
            os.pwrite(journal, bytes(min(WRITTEN_AT_ONCE, end - at)), at)
        os.fdatasync(journal)
        return True
    finally:
        os.close(journal)
