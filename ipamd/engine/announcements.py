"""Waits for changes of pod networks: this process's own are seen at once, other replicas' within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from ipamd.backends.interface import Ledger
from ipamd.models.errors import DomainError
from ipamd.models.pod_network import NetworkPosition

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for the changes of other replicas, while anybody waits."""

SHORTEST_PAUSE: Final = 0.02
"""Seconds between two looks, however many changes this process makes."""

APART: Final = 1.0
"""Seconds between two answers to the same waiter: it hears of many nodes that start at once together."""

log = structlog.get_logger()


class Announcements:
    """Where the changes of each cluster stand, as far as those who wait are told."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: dict[str, NetworkPosition] = {}
        self._told_at: dict[str, float] = {}
        self._events: dict[str, asyncio.Event] = {}
        self._waiting = 0
        self._look = asyncio.Event()
        self._ended = False

    def ring(self) -> None:
        """A transaction of this process that announces something is committed."""
        if self._waiting:
            self._look.set()

    def end(self) -> None:
        """Let everybody go who waits, now and later: the process ends."""
        self._ended = True
        for event in self._events.values():
            event.set()

    @property
    def has_ended(self) -> bool:
        return self._ended

    async def newer(self, cluster: str, than: NetworkPosition, seconds: float) -> None:
        """Wait until a cluster's network has changed since a position, at most so many seconds."""
        self._waiting += 1
        self._look.set()
        try:
            async with asyncio.timeout(seconds):
                while not self._ended and not self.is_later(cluster, than):
                    await self._events.setdefault(cluster, asyncio.Event()).wait()
        except TimeoutError:
            return  # nothing has changed, and that is the answer
        finally:
            self._waiting -= 1

    def follows(self, cluster: str, position: NetworkPosition) -> bool:
        """Whether a position is known to be one of the cluster's present epoch."""
        told = self._told.get(cluster)
        return told is not None and told.epoch == position.epoch

    def is_later(self, cluster: str, than: NetworkPosition) -> bool:
        """Whether a change of a cluster's network has been told that came after a position."""
        told = self._told.get(cluster)
        return told is not None and (told.epoch != than.epoch or told.number > than.number)

    async def run(self) -> None:
        """Look again and again while anybody waits, until cancelled."""
        silent = False
        pause: float | None = None
        while True:
            await self._rest(pause)
            try:
                pause = self._tell(await self._ledger.positions())
            except DomainError as error:
                if not silent:
                    log.warning("changes of pod networks cannot be read; ipamd tries again", error=str(error))
                silent, pause = True, LOOK_EVERY
            else:
                silent = False

    def _tell(self, found: Mapping[str, NetworkPosition]) -> float:
        """Wake who waits for what has changed. Returns in how many seconds to look again."""
        now, again = asyncio.get_running_loop().time(), LOOK_EVERY
        for cluster, position in found.items():
            if position == self._told.get(cluster):
                continue
            early = self._told_at.get(cluster, now - APART) + APART - now
            if early > 0:
                again = min(again, early)
                continue
            self._told[cluster], self._told_at[cluster] = position, now
            event = self._events.pop(cluster, None)
            if event is not None:
                event.set()
        return again

    async def _rest(self, pause: float | None) -> None:
        """Wait for a change of this process's own or a newcomer; while anybody waits, so long at most."""
        if pause is not None:
            await asyncio.sleep(SHORTEST_PAUSE)
        try:
            async with asyncio.timeout(pause if self._waiting else None):
                await self._look.wait()
        except TimeoutError:
            return  # time to look for others' changes
        self._look.clear()
