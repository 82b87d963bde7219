"""The service's own clock: it follows the system's, and knows how that was set."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from ipamd.models.instant import AHEAD, SECOND, Instant

Source = Callable[[], Instant]
"""Tells the time in microseconds."""

STEP: Final = 2 * SECOND
"""A clock that differs by more from the time that has passed was set."""

MOST_STEPS: Final = 16
"""More steps than this are told apart no longer: the oldest count as one, of the later moment."""

CATCHING_UP: Final = 24
"""Counted time catches up with the clock by an hour in this many hours."""

UNCOUNTED: Final = 600 * SECOND
"""Time counts as not passed if the clock is ahead of what was counted by more at the start of a process."""

log = structlog.get_logger()


class Step(NamedTuple):
    """The clock was set ahead by `size`, that long ago."""

    ago: Instant
    size: Instant


class Reading(NamedTuple):
    """What the clock says, and how it was set ahead lately."""

    now: Instant
    steps: tuple[Step, ...] = ()

    def past(self, span: Instant) -> Instant:
        """What the clock said that long ago, or earlier: what is older has really lasted for so long."""
        if not self.steps:
            return self.now - span
        return self.now - span - sum(step.size for step in self.steps if step.ago < span)

    def lasts_until(self, since: Instant, span: Instant) -> Instant:
        """When what began at `since` has lasted for so long."""
        added = 0
        for step in reversed(self.steps):
            if since >= self.now - step.ago - added:
                break  # it began after this step
            added += step.size
        return since + span + added


class Clock:
    """The present by the system's clock, and how much time has surely passed.

    It stands still for a small step back, and follows a larger one. **Counted time** goes as time really
    passes while ipamd runs, and catches up with the clock slowly. What is deleted by its age is deleted by
    the counted time, so that a clock that was set ahead deletes nothing.
    """

    def __init__(self, wall: Source | None = None, passed: Source | None = None) -> None:
        self._wall = wall or _wall
        self._passed = passed or _passed
        self._latest = self._wall()
        self._offset = self._latest - self._passed()
        self._steps: list[tuple[Instant, Instant]] = []
        self._counted = self._latest
        self._counted_at = self._passed()
        self.jumps: Counter[str] = Counter(ahead=0, back=0)

    def __call__(self) -> Instant:
        """The present. It is earlier than the call before only if the system's clock was set back."""
        wall, passed = self._wall(), self._passed()
        jump = wall - passed - self._offset
        self._offset = wall - passed
        if abs(jump) > STEP:
            self._note(jump, passed)
        self._latest = wall if wall < self._latest - STEP else max(self._latest, wall)
        return self._latest

    def passed(self) -> Instant:
        """Time that passes whatever the clock is set to. Only its differences mean something."""
        return self._passed()

    def read(self) -> Reading:
        """The present, with what is known of the past."""
        now = self()
        if not self._steps:
            return Reading(now)
        passed = self._passed()
        return Reading(now, tuple(Step(passed - at, size) for at, size in self._steps))

    def begin_counting(self, counted: Instant) -> None:
        """Go on counting from what is stored, at the start of a process."""
        gap = self() - counted
        if gap > UNCOUNTED:
            log.warning(
                "the clock is ahead of what was counted: ipamd was not running, or the clock is wrong",
                seconds=round(gap / SECOND),
            )
            self._add_step(gap, self._passed())
        elif gap < -AHEAD:
            log.warning(
                "the clock is behind what was counted: see that it is right", seconds=round(-gap / SECOND)
            )
        self._counted, self._counted_at = counted, self._passed()

    def count(self) -> Instant:
        """How far time has been counted, as of now."""
        passed = self._passed()
        since, self._counted_at = passed - self._counted_at, passed
        self._counted = max(self._counted, min(self(), self._counted + since + since // CATCHING_UP))
        return self._counted

    def trust(self) -> Instant:
        """Take the clock for right: time has been counted as far as it says."""
        self._counted, self._counted_at = self(), self._passed()
        return self._counted

    @property
    def ahead(self) -> Instant:
        """By how much the clock is ahead of what has surely passed; negative if it is behind."""
        return self() - self._counted - (self._passed() - self._counted_at)

    @property
    def is_behind(self) -> bool:
        """Whether the clock says less than what has surely passed."""
        return self.ahead < -AHEAD

    def _note(self, jump: Instant, passed: Instant) -> None:
        log.warning("the clock was set", seconds=round(jump / SECOND, 3))
        self.jumps["ahead" if jump > 0 else "back"] += 1
        if jump > 0:
            self._add_step(jump, passed)

    def _add_step(self, size: Instant, at: Instant) -> None:
        self._steps.append((at, size))
        if len(self._steps) > MOST_STEPS:
            (_, first), (later, second), *rest = self._steps
            self._steps = [(later, first + second), *rest]


def _wall() -> Instant:
    return time.time_ns() // 1000


def _passed() -> Instant:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
