"""Files whose content may change while a process runs: certificates, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

LOOK_EVERY: Final = 2.0
"""Seconds between two looks: who replaces a file waits so long at most."""

log = structlog.get_logger()


def _warn(what: str, why: str) -> None:
    log.warning("what was loaded before is kept", what=what, why=why)


class Watched:
    """Something that is loaded from files, for the first time here; raises what `load` raises.

    `load` raises OSError or an error of the given kind, and changes nothing then; `complain` hears of it.
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
        """Load again what has changed; what cannot be loaded stays as it was."""
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
    """Look at all of them, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for each in watched:
            each.look()


def _signature(files: Sequence[Path]) -> list[tuple[int, ...] | None]:
    """What tells a file from the one that was there: a Secret's files are links that are put elsewhere."""
    found: list[tuple[int, ...] | None] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
    return found
