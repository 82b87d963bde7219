"""What is known of the agent's doings: for metrics, for `status`, and for whoever reads the log."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ipam_plugin.spool import Spool

log = structlog.get_logger()


def rfc3339(seconds: float | None) -> str | None:
    """A moment as people and REST write it, to the second, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in the spool: entries that wait, the age of the oldest in seconds, entries set aside."""

    entries: int
    oldest_seconds: float
    set_aside: int

    @classmethod
    def of(cls, state_dir: Path) -> Waiting:
        """Look at the spool of a state folder; raises OSError or ValueError where it cannot be read."""
        names = Spool(str(state_dir)).names()
        # A name begins with the wall clock in nanoseconds; who set the clock back sees no negative age.
        begun = [int(first) for first in (name.partition("-")[0] for name in names) if first.isdigit()]
        oldest = max(0.0, time.time() - min(begun) / 1e9) if begun else 0.0
        try:
            aside = sum(path.suffix == ".json" for path in (state_dir / "spool" / "set-aside").iterdir())
        except FileNotFoundError:
            aside = 0
        return cls(len(names), oldest, aside)


class Facts:
    """What the parts of the agent tell of themselves."""

    def __init__(self) -> None:
        self.upstream: str | None = None
        """Which endpoint answered last; None while none does."""
        self._waking: list[asyncio.Event] = []
        self.latency: float | None = None
        """Seconds of the last answered look at ipamd."""
        self.token_expires: float | None = None
        self.joined = False
        self.last_error: str | None = None
        self.last_error_at: float | None = None

    def reached(self, endpoint: str) -> None:
        """Remember who answered; where nobody did before, what waits for that is woken."""
        if self.upstream is None:
            for event in self._waking:
                event.set()
        self.upstream = endpoint

    def woken_on_return(self) -> asyncio.Event:
        """An event that is set when ipamd answers again; whoever asked clears it."""
        event = asyncio.Event()
        self._waking.append(event)
        return event

    def fail(self, what: str, why: str) -> None:
        """Remember an error, and say it in the log unless it is the same as the last one."""
        sentence = f"{what}: {why}"
        if sentence != self.last_error:
            log.warning(what, why=why)
        self.last_error, self.last_error_at = sentence, time.time()
