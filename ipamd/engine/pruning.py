"""Drops old history, slowly enough that nobody notices."""

from __future__ import annotations

import asyncio
from typing import Final

from ipamd.backends.interface import Backend
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.instant import SECOND

DAY: Final = 24 * 60 * 60 * SECOND

ROUND_EVERY: Final = 3600.0
"""Seconds between two rounds. History is kept for days, so minutes do not matter."""

SHORTEST_PAUSE: Final = 0.02
RESTING: Final = 9
"""A pause is this many times as long as the work before it: at most a tenth of the writer's time is used."""


class Pruning:
    """Drops allocations that ended, and changes that were made or requested, more than some days ago.

    Each process does it, without a leader.
    """

    def __init__(self, backend: Backend, clock: Clock, days: int) -> None:
        self._backend = backend
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        """Work until cancelled."""
        await go_on(self.round, ROUND_EVERY, "history was not pruned; ipamd tries again")

    async def round(self) -> None:
        """Drop everything that is old by the counted time, in pieces with pauses."""
        before = self._clock.count() - self._days * DAY
        time = asyncio.get_running_loop().time
        reached: int | None = 0
        while reached is not None:
            begun = time()
            reached = await self._backend.forget_history(before, reached)
            await asyncio.sleep(max(SHORTEST_PAUSE, RESTING * (time() - begun)))
        for forget in (self._backend.forget_log, self._backend.forget_requests):
            more = True
            while more:
                begun = time()
                more = await forget(before)
                await asyncio.sleep(max(SHORTEST_PAUSE, RESTING * (time() - begun)))
