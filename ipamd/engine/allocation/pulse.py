"""Which waiters belong to replicas that live: those whose beat moves. No clocks are compared. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.models.waiter import Waiter

DEAD_AFTER: Final = 8.0
"""Seconds of looking for which a beat stands still before its waiter is taken for gone."""

LONGEST_GAP: Final = 2.5
"""A longer time between two looks counts as so many seconds: who did not look has not seen anything stand."""


@dataclass(slots=True)
class _Beat:
    beat: int
    still: float = 0.0


class Pulse:
    """What one replica has seen of the others' waiters."""

    def __init__(self) -> None:
        self._beats: dict[int, _Beat] = {}
        self._looked: float | None = None

    def dead(self, waiters: Sequence[Waiter], now: float) -> list[int]:
        """The numbers of those that are gone, as of a look at this moment, in seconds."""
        passed = 0.0 if self._looked is None else min(now - self._looked, LONGEST_GAP)
        self._looked = now
        known, self._beats = self._beats, {}
        for waiter in waiters:
            beat = known.get(waiter.number)
            if beat is None or beat.beat != waiter.beat:
                beat = _Beat(waiter.beat)
            else:
                beat.still += passed
            self._beats[waiter.number] = beat
        return [number for number, beat in self._beats.items() if beat.still >= DEAD_AFTER]
