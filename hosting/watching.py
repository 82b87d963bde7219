"""Files whose content may change while a process runs: certificates, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

LOOK_EVERY: Final = 2.0
"""Seconds between two looks: a replaced file counts after this time at the latest."""

log = structlog.get_logger()


def _warn(what: str, why: str) -> None:
    log.warning("a file cannot be used; the one before stays in use", what=what, why=why)


class Watched:
    """Something that is loaded from files, now for the first time. Raises what `load` raises.

    `load` raises OSError or an error of the given kind, and then changes nothing. `complain` gets the error.
    """

    def __init__(
        self,
        what: str,
        files: Sequence[Path],
        load: Callable[[], None],
        error: type[Exception],
        complain: Callable[[str, str], None] = _warn,
    ) -> None:
        self._what = what
        self._files = files
        self._load = load
        self._errors = (error, OSError)
        self._complain = complain
        self._seen = _signature(files)  # before they are read: what changes meanwhile is seen
        load()

    def look(self) -> None:
        """Load again if a file has changed. If that fails, keep what was loaded."""
        now = _signature(self._files)
        if now == self._seen:
            return
        self._seen = now
        try:
            self._load()
        except self._errors as error:
            self._complain(self._what, str(error))
        else:
            log.info("loaded again", what=self._what)


async def keep_loaded(watched: Sequence[Watched]) -> None:
    """Look at all files, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for each in watched:
            each.look()


def _signature(files: Sequence[Path]) -> list[tuple[int, ...] | None]:
    """What distinguishes a file from the one before it.

    The files of a Secret are links, which are replaced.
    """
    found: list[tuple[int, ...] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
    return found
