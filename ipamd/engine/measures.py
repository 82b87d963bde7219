"""Counts of the engine's own work, for metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
CALLS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """How often a value was at most each of some bounds, and above all of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Measures:
    """Counts since the engine was opened.

    `retries` are settlings that were begun again, by what others changed meanwhile; `failures` those that
    the database ended, by the cause (`Unavailable.cause`). `dead` are addresses that were freed because
    their containers are gone, by how that is known. `waits` are allocations that stood in
    the line of waiters, by what became of them.
    """

    def __init__(self) -> None:
        self.batch_calls = Histogram(CALLS)
        self.database_seconds = Histogram(SECONDS)
        self.contended = 0
        self.carvings = 0
        self.retries: Counter[str] = Counter(catalogue=0, constraint=0, doubt=0, quota=0)
        self.failures: Counter[str] = Counter()
        self.dead: Counter[str] = Counter(admin=0, boot=0, namespace=0)
        self.waits: Counter[str] = Counter(served=0, refused=0, gone=0, stopped=0)
