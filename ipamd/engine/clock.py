"""The service's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from ipamd.models.instant import Instant

Clock = Callable[[], Instant]
"""Gives the present; never an earlier instant than the call before it."""


def wall_clock() -> Clock:
    """A clock on the system's time that stands still where that is set back."""
    latest = 0

    def now() -> Instant:
        nonlocal latest
        latest = max(latest, time.time_ns() // 1000)
        return latest

    return now
