"""Samples how full all pools are, once an hour, and drops samples that are older than a year."""

from __future__ import annotations

import asyncio
from typing import Final

from ipamd.backends.interface import Backend
from ipamd.engine.clock import Clock
from ipamd.engine.rounds import go_on
from ipamd.models.instant import Instant
from ipamd.models.sample import KEPT_SAMPLES, hour_of

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at the clock, which may be set meanwhile."""

PAUSE: Final = 0.02
"""Seconds between two pieces that are dropped."""


class Sampling:
    """Samples each hour soon after it begins, or as soon as ipamd runs.

    Each process does it, without a leader: the database keeps one sample of each hour, whoever comes first.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._sampled: Instant | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        await go_on(self.round, LOOK_EVERY, "use could not be sampled; ipamd tries again")

    async def round(self) -> None:
        """Sample this hour, unless this process did. Raises Unavailable, InDoubt."""
        hour = hour_of(self._clock())
        if hour == self._sampled:
            return
        await self._backend.sample_usage(hour)
        self._sampled = hour
        old, more = self._clock.count() - KEPT_SAMPLES, True
        while more:
            more = await self._backend.forget_samples(old)
            await asyncio.sleep(PAUSE)
