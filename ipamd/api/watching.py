"""Files whose content may change while the service runs: certificates, the operator's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from ipamd.models.errors import DomainError

LOOK_EVERY: Final = 2.0
"""Seconds between two looks: who replaces a file waits so long at most."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Watched:
    """Something loaded from files. `load` raises DomainError or OSError, and then changes nothing."""

    what: str
    files: Sequence[Path]
    load: Callable[[], None]


async def keep_loaded(watched: Sequence[Watched]) -> None:
    """Load again what has changed, for ever; what cannot be loaded stays as it was, and the log says why."""
    seen = [_signature(each.files) for each in watched]
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for place, each in enumerate(watched):
            now = _signature(each.files)
            if now == seen[place]:
                continue
            seen[place] = now
            try:
                each.load()
            except (DomainError, OSError) as error:
                log.warning("what was loaded before is kept", what=each.what, why=str(error))
            else:
                log.info("loaded again", what=each.what)


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
