"""The service's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from ipamd.models.instant import SECOND, Instant

Clock = Callable[[], Instant]
"""Gives the present. It is earlier than at the call before only if the system's clock was set back."""

STEP: Final = 2 * SECOND
"""A clock that differs by more from the time that has passed was set."""

log = structlog.get_logger()


def wall_clock() -> Clock:
    """A clock on the system's time. It stands still for a small step back, and follows a larger one."""
    latest = 0
    offset: int | None = None

    def now() -> Instant:
        nonlocal latest, offset
        wall = time.time_ns() // 1000
        passed = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        jump = 0 if offset is None else wall - passed - offset
        offset = wall - passed
        if abs(jump) > STEP:
            log.warning("the clock was set", seconds=round(jump / SECOND, 3))
        latest = wall if wall < latest - STEP else max(latest, wall)
        return latest

    return now
