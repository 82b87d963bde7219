"""When a pool is full at the pace of its last days: a straight line through its samples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from ipamd.models.instant import Instant
from ipamd.models.sample import DAY, UsageSample

LEAST_SAMPLES: Final = 24
LEAST_SPAN: Final = 2 * DAY
"""From less a day and its night would be taken for a trend."""

FARTHEST_DAYS: Final = 3650
"""What lies beyond ten years is no forecast."""

STANDARD_ERRORS: Final = 2
"""A growth that is less than so many of its standard errors cannot be told from ups and downs."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a pool is full, or why that cannot be said.

    `room` are the addresses that it can still give, those that cool down too. `growth` is in addresses a
    day. `days` and `full_at` are None where `why` says why.
    """

    samples: int
    first: Instant | None
    last: Instant | None
    room: int
    growth: float | None
    days: float | None
    full_at: Instant | None
    why: str | None


def forecast(samples: Sequence[UsageSample], room: int, now: Instant) -> Forecast:
    """Fit a line to the samples, and follow it from today until nothing is left."""
    first = samples[0].at if samples else None
    last = samples[-1].at if samples else None

    def known(
        growth: float | None = None,
        days: float | None = None,
        full_at: Instant | None = None,
        why: str | None = None,
    ) -> Forecast:
        return Forecast(len(samples), first, last, room, growth, days, full_at, why)

    if room <= 0:
        return known(days=0.0, full_at=now)
    if first is None or last is None or len(samples) < LEAST_SAMPLES or last - first < LEAST_SPAN:
        return known(
            why=f"too little is known: it takes {LEAST_SAMPLES} samples over {LEAST_SPAN // DAY} days, "
            f"and there are {len(samples)}"
        )
    growth, error = _line(samples)
    if growth <= 0:
        return known(growth, why="its use does not grow")
    if growth < STANDARD_ERRORS * error:
        return known(growth, why="its use goes up and down by more than it grows")
    days = room / growth
    if days > FARTHEST_DAYS:
        return known(growth, why="at this pace it is not full within ten years")
    return known(growth, days, now + round(days * DAY))


def _line(samples: Sequence[UsageSample]) -> tuple[float, float]:
    """The slope of the line of least squares, in addresses a day, and its standard error."""
    begin, count = samples[0].at, len(samples)
    days = [(sample.at - begin) / DAY for sample in samples]
    mean_day, mean = sum(days) / count, sum(sample.allocated for sample in samples) / count
    spread = sum((day - mean_day) ** 2 for day in days)
    slope = (
        sum((day - mean_day) * sample.allocated for day, sample in zip(days, samples, strict=True)) / spread
    )
    left = sum(
        (sample.allocated - mean - slope * (day - mean_day)) ** 2
        for day, sample in zip(days, samples, strict=True)
    )
    return slope, sqrt(left / (count - 2) / spread)
