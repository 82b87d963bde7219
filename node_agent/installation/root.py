"""The files of a node under a root folder, as the node itself sees them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from node_agent.failure import CommandFailed, ExitCode

_MOST_LINKS: Final = 40  # as the kernel has it (path_resolution(7))


class Root:
    """A folder that is or will be the root of a node's file system."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CommandFailed(
                f"--root {folder} is not a folder: create it, or mount the node there", ExitCode.USAGE
            )
        self._folder = folder.resolve()

    def __str__(self) -> str:
        return str(self._folder)

    def __truediv__(self, path: str) -> Path:
        """The place of a node's absolute path. Links of its folders are followed inside the root (chroot(2)).

        The last part is not followed: a rename replaces a link in the place of a file.
        """
        waiting = [part for part in path.split("/") if part][::-1]
        reached: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in (".", ".."):
                del reached[len(reached) - (part == "..") :]
                continue
            here = self._folder.joinpath(*reached, part)
            if not waiting or not here.is_symlink():
                reached.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise CommandFailed(f"{path} under {self} has links that lead in a circle: remove one")
            target = str(here.readlink())
            if target.startswith("/"):
                reached.clear()
            waiting += [step for step in target.split("/") if step][::-1]
        return self._folder.joinpath(*reached)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other installations of this root out. The kernel releases the lock if this process dies."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(
                f"another ipamd-agent is installing under {self}: wait until it ends, then try again"
            ) from None
        else:
            yield
        finally:
            os.close(folder)
