"""Rounds of a benchmark: in each, all that it compares is measured in turn.

Other work on the machine slows a round down, and not always all of it alike. Plain work before and after each
round tells. With `--repeat-on-noise` a round beside which it took a fifth longer than beside the others is
measured again.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from benchmarks.pinning import LOAD_CORE, SERVER_CORE

T = TypeVar("T")

NOISE: Final = 1.2
"""A round is spoilt if plain work beside it took so many times what it took beside the others."""

_WORK: Final = 2_000_000
_repeats = False


def repeat_on_noise() -> None:
    """Measure spoilt rounds again from now on, as often as there are rounds at most."""
    global _repeats  # an option of the command, set before any benchmark
    _repeats = True


def measured(number: int, measure: Callable[[], T]) -> list[T]:
    """What each of so many rounds found."""
    rounds = [_beside_plain_work(measure) for _ in range(number)]
    for _ in range(number):
        again = spoilt([plain for plain, _ in rounds])
        if again is None:
            break
        print(f"  round {again + 1} of {number} was disturbed, and is measured again", flush=True)
        rounds[again] = _beside_plain_work(measure)
    return [found for _, found in rounds]


def spoilt(plain: Sequence[float]) -> int | None:
    """Which round was disturbed most, if any was, by the seconds of plain work beside each."""
    if len(plain) < 2:
        return None
    worst = max(range(len(plain)), key=plain.__getitem__)
    others = statistics.median([*plain[:worst], *plain[worst + 1 :]])
    return worst if plain[worst] > NOISE * others else None


def _beside_plain_work(measure: Callable[[], T]) -> tuple[float, T]:
    if not _repeats:
        return 0.0, measure()
    before = _plain_work()
    found = measure()
    return before + _plain_work(), found


def _plain_work() -> float:
    """Seconds that it takes on the slower of the two cores."""
    allowed = os.sched_getaffinity(0)
    taken = []
    for core in (SERVER_CORE, LOAD_CORE):
        os.sched_setaffinity(0, {core})
        began = time.perf_counter()
        sum(range(_WORK))
        taken.append(time.perf_counter() - began)
    os.sched_setaffinity(0, allowed)
    return max(taken)
