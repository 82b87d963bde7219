"""The service's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from ipamd.models.instant import Instant

Clock = Callable[[], Instant]
"""Gives the present. It never goes back."""


def wall_clock() -> Clock:
    """A clock with the system's time. If that is set back, it stands still."""
    latest = 0

    def now() -> Instant:
        nonlocal latest
        latest = max(latest, time.time_ns() // 1000)
        return latest

    return now
