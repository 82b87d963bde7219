"""What the contender before has put off is done before the next one is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from benchmarks.pinning import LOAD_CORE, SERVER_CORE

LOOK_SECONDS: Final = 0.3
BUSY: Final = 0.05
"""A core has nothing to do if it works for no more than this share of a look."""

MOST_SECONDS: Final = 15.0
_STAT: Final = Path("/proc/stat")


def until_quiet() -> None:
    """Wait until what was written is on the disk and both cores have nothing to do; say so if they never had.

    Several services share a core and a disk. Each leaves work behind its last answer: a journal to move, rows
    to vacuum, pages to write. It would be counted against whoever comes next.
    """
    os.sync()
    end = time.monotonic() + MOST_SECONDS
    while (busy := _busiest()) > BUSY:
        if time.monotonic() > end:
            print(f"  a core was still busy for {busy:.0%} of the time", flush=True)
            return


def _busiest() -> float:
    """The share of the next moment for which the busier core works."""
    before = _worked()
    time.sleep(LOOK_SECONDS)
    ticks = LOOK_SECONDS * os.sysconf("SC_CLK_TCK")
    return max(after - earlier for after, earlier in zip(_worked(), before, strict=True)) / ticks


def _worked() -> list[int]:
    """For how many ticks each of the two cores has worked; see proc(5)."""
    fields = {line.split()[0]: line.split()[1:] for line in _STAT.read_text().splitlines()}
    worked = []
    for core in (SERVER_CORE, LOAD_CORE):
        user, nice, system, _idle, _waiting, *interrupts = map(int, fields[f"cpu{core}"][:7])
        worked.append(user + nice + system + sum(interrupts))
    return worked
