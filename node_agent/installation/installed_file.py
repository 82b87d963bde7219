"""Files to install on a node, with their contents."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from node_agent.failure import CommandFailed, ExitCode


class Kind(StrEnum):
    """What a file is for."""

    EXECUTABLE = "executable"
    CONFIGURATION = "configuration"
    CREDENTIAL = "credential"  # the agent may replace it: it is ours whatever is in it
    NETWORK = "network"  # what a runtime reads: it goes last, and is taken back first


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file: its absolute path on the node, its bytes and its mode."""

    path: str
    data: bytes
    mode: int
    kind: Kind

    @property
    def digest(self) -> str:
        return sha256(self.data).hexdigest()


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a regular file, None if nothing is there, "" if it is something else."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError:
        if path.is_symlink() or not path.is_file():
            return ""
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return ""
    with os.fdopen(file, "rb") as opened:
        return sha256(opened.read()).hexdigest()


def read_input(flag: str, path: Path, limit: int) -> bytes:
    """Read a file that a flag names. Raises CommandFailed."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise CommandFailed(f"{flag} {path} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    if len(data) > limit:
        raise CommandFailed(
            f"{flag} {path} is larger than {limit} bytes: is it the right file?", ExitCode.USAGE
        )
    return data
