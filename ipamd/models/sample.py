"""Samples of use: how many addresses of a pool were allocated, hour by hour."""

from __future__ import annotations

from typing import Final, NamedTuple

from ipamd.models.instant import SECOND, Instant

HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
KEPT_SAMPLES: Final = 365 * DAY
"""How long samples are kept."""


class UsageSample(NamedTuple):
    """How many addresses of a pool were allocated in the hour that begins at `at`."""

    at: Instant
    allocated: int


def hour_of(moment: Instant) -> Instant:
    """The beginning of an hour, in UTC."""
    return moment - moment % HOUR
