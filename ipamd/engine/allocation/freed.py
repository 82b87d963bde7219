"""A bell that a transaction of this process rings when it has freed something, if anybody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ipamd.engine.allocation.call import Verdict
from ipamd.models.outcome import Released, Reported


class FreedBell:
    """Costs a batch one look at `listened` while nobody waits."""

    def __init__(self) -> None:
        self.listened = False
        self.rung = asyncio.Event()
        self.rung_at = 0.0
        """When it was last rung, in the event loop's time."""

    def hear(self, verdicts: Iterable[Verdict]) -> None:
        """Ring if any of a durable batch's calls freed something, or may have."""
        if any(_frees(verdict) for verdict in verdicts):
            self.ring()

    def ring(self) -> None:
        """Have who is first try again."""
        self.rung_at = asyncio.get_running_loop().time()
        self.rung.set()


def _frees(verdict: Verdict) -> bool:
    return isinstance(verdict, Reported) or (isinstance(verdict, Released) and bool(verdict.addresses))
