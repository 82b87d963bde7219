"""Write files completely under temporary names, then rename them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from node_agent.failure import CommandFailed

_ENDING: Final = ".ipamd-agent"
"""No runtime reads a network configuration with this extension."""


def temporary(final: Path) -> Path:
    """The temporary name of a file. It is always the same, so that the next run finds what a kill left."""
    return final.with_name(f".{final.name}{_ENDING}")


class Staging:
    """Files that are not renamed yet. `drop` before `commit` leaves everything as it was."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._folders: list[Path] = []

    def make_folder(self, folder: Path, mode: int = 0o755) -> None:
        """Create a folder and its missing parents. Raises CommandFailed."""
        missing: list[Path] = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            try:
                each.mkdir(mode)
            except OSError as error:
                raise CommandFailed(f"the folder {each} cannot be created: {error.strerror}") from None
            self._folders.append(each)
            sync_folder(each.parent)

    def write(self, final: Path, data: bytes, mode: int) -> None:
        """Write a file to the disk. Raises CommandFailed if it cannot be written."""
        waiting = temporary(final)
        self._files.append(final)
        try:
            with contextlib.suppress(FileNotFoundError):
                waiting.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(waiting, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
        except OSError as error:
            raise CommandFailed(
                f"{final} cannot be written: {error.strerror}; nothing was changed on this node"
            ) from None

    def commit(self, final: Path) -> None:
        """Rename a file to its final name, durably."""
        temporary(final).rename(final)
        self._files.remove(final)
        sync_folder(final.parent)

    def drop(self) -> None:
        """Remove files that are not renamed yet, and the folders created for them."""
        for final in self._files:
            with contextlib.suppress(OSError):
                temporary(final).unlink()
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):
                folder.rmdir()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
