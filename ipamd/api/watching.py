"""Files whose content may change while the service runs: certificates, the operator's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from ipamd.models.errors import DomainError

LOOK_EVERY: Final = 2.0
"""Seconds between two looks: who replaces a file waits so long at most."""

log = structlog.get_logger()


class Watched:
    """Something that is loaded from files, for the first time here; raises what `load` raises.

    `load` raises DomainError or OSError, and changes nothing then.
    """

    def __init__(self, what: str, files: Sequence[Path], load: Callable[[], None]) -> None:
        self._what = what
        self._files = files
        self._load = load
        self._seen = _signature(files)  # before they are read: what changes meanwhile is seen
        load()

    def look(self) -> None:
        """Load again what has changed; what cannot be loaded stays as it was, and the log says why."""
        now = _signature(self._files)
        if now == self._seen:
            return
        self._seen = now
        try:
            self._load()
        except (DomainError, OSError) as error:
            log.warning("what was loaded before is kept", what=self._what, why=str(error))
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
