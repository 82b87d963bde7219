"""The journal: a file with a line for each unit of work, which is kept once its line is on the disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from ipamd.models.errors import DatabaseUnfit, Unavailable
from ipamd_file.codec import dumped, loaded
from ipamd_file.store import Change

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


class Journal:
    """A folder that this process alone uses until the journal is closed. Raises DatabaseUnfit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "journal"
        self._failed: str | None = None
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            # The kernel drops the lock when the process ends, however it ends.
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise DatabaseUnfit(f"the folder {folder} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = self._opened(self._path, os.O_APPEND)
        except BlockingIOError as error:
            os.close(self._lock)
            raise DatabaseUnfit(
                f"the folder {folder} is in use by another ipamd: stop that one, or name another folder"
            ) from error
        except OSError as error:
            os.close(self._lock)
            raise DatabaseUnfit(f"{self._path} cannot be opened: {error.strerror}") from error

    @staticmethod
    def _opened(path: Path, flags: int) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, FILE_MODE)

    def read(self) -> Iterator[Change]:
        """The changes of every unit of work that was kept.

        A last line that is not whole was being written when the process died, and was answered to nobody.
        """
        lines = self._path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            checksum, _, text = line.partition(b" ")
            if line.endswith(b"\n") and checksum == _checksum(text):
                yield from loaded(text)
            elif number < len(lines):
                raise DatabaseUnfit(f"{self._path} is damaged in line {number}: put back a copy of it")

    def rewrite(self, changes: Iterable[Change]) -> None:
        """Put a journal of these changes in the place of this one, as a whole."""
        new = self._path.with_name("journal.new")
        file = self._opened(new, os.O_TRUNC | os.O_APPEND)
        for change in changes:
            os.write(file, _line([change]))
        os.fsync(file)
        new.replace(self._path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(folder)  # else the old name may come back with the power
        os.close(folder)
        os.close(self._file)
        self._file = file

    def append(self, changes: Iterable[Change]) -> None:
        """Keep a unit of work; raises Unavailable, and from then on takes no more.

        After a failure nobody knows what is on the disk: opened again, the journal says it.
        """
        if self._failed is not None:
            raise Unavailable(self._failed)
        line = _line(changes)
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(0, "only a part was written")  # noqa: TRY301 - a full disk says it in both ways
            os.fsync(self._file)
        except OSError as error:
            self._failed = f"{self._path} cannot be written: {error.strerror}; start ipamd again"
            raise Unavailable(self._failed) from error

    @property
    def failed(self) -> str | None:
        """What ended the writing."""
        return self._failed

    def close(self) -> None:
        """Another process may have it now."""
        os.close(self._file)
        os.close(self._lock)


def _line(changes: Iterable[Change]) -> bytes:
    text = dumped(list(changes)).encode("ascii") + b"\n"
    return _checksum(text) + b" " + text


def _checksum(text: bytes) -> bytes:
    return b"%08x" % crc32(text)
