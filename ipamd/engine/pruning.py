"""The end of history: what ended long ago is dropped, so slowly that nobody notices."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from ipamd.backends.interface import Backend, InDoubt
from ipamd.engine.clock import Clock
from ipamd.models.errors import DomainError
from ipamd.models.instant import SECOND

DAY: Final = 24 * 60 * 60 * SECOND

ROUND_EVERY: Final = 3600.0
"""Seconds between two rounds over what is old: history is kept for days, not to the minute."""

SHORTEST_PAUSE: Final = 0.02
RESTING: Final = 9
"""So many times as long as a piece took is waited before the next: a tenth of the writer's time at most."""

log = structlog.get_logger()


class Pruning:
    """Drops allocations that ended more than so many days ago; each process does, without any leader."""

    def __init__(self, backend: Backend, clock: Clock, days: int) -> None:
        self._backend = backend
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self.round()
            except (DomainError, InDoubt) as error:
                log.warning(
                    "history was not pruned; ipamd tries again", error=str(error), seconds=ROUND_EVERY
                )
            await asyncio.sleep(ROUND_EVERY)

    async def round(self) -> None:
        """Drop all that is old now, in pieces with pauses."""
        before = self._clock() - self._days * DAY
        time = asyncio.get_running_loop().time
        reached: int | None = 0
        while reached is not None:
            begun = time()
            reached = await self._backend.forget_history(before, reached)
            await asyncio.sleep(max(SHORTEST_PAUSE, RESTING * (time() - begun)))
