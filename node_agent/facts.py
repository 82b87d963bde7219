"""The state of the agent, for metrics, `status` and the log."""

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
    """A moment as RFC 3339 in UTC, to the second."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The spool: how many entries wait, the age of the oldest in seconds, how many were set aside."""

    entries: int
    oldest_seconds: float
    set_aside: int

    @classmethod
    def of(cls, state_dir: Path) -> Waiting:
        """Look at the spool of a state folder. Raises OSError or ValueError if it cannot be read."""
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
    """What the parts of the agent report."""

    def __init__(self) -> None:
        self.upstream: str | None = None
        """The endpoint that answered last, None while none answers."""
        self._waking: list[asyncio.Event] = []
        self.latency: float | None = None
        """Seconds that ipamd took to answer the last look."""
        self.token_expires: float | None = None
        self.joined = False
        self.last_error: str | None = None
        self.last_error_at: float | None = None

    def reached(self, endpoint: str) -> None:
        """Remember which endpoint answered. If none did before, wake those who wait for one."""
        if self.upstream is None:
            for event in self._waking:
                event.set()
        self.upstream = endpoint

    def woken_on_return(self) -> asyncio.Event:
        """An event that is set when ipamd answers again. Whoever uses it clears it."""
        event = asyncio.Event()
        self._waking.append(event)
        return event

    def fail(self, what: str, why: str) -> None:
        """Remember an error, and log it unless it is the same as the last one."""
        sentence = f"{what}: {why}"
        if sentence != self.last_error:
            log.warning(what, why=why)
        self.last_error, self.last_error_at = sentence, time.time()
