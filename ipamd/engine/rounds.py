"""Work that a process does again and again beside its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ipamd.backends.interface import InDoubt
from ipamd.models.errors import DomainError

log = structlog.get_logger()


async def go_on(work: Callable[[], Awaitable[None]], every: float, failed: str) -> None:
    """Do a round of work each `every` seconds until cancelled. The log says in these words if one failed."""
    while True:
        try:
            await work()
        except (DomainError, InDoubt) as error:
            log.warning(failed, error=str(error), seconds=every)
        await asyncio.sleep(every)
