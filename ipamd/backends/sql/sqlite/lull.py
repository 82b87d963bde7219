"""Notices that no call has written for a moment: the time to do what was put off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

SECONDS: Final = 0.05
"""So long no call writes before the lull begins."""


class Lull:
    """Begins some work in each lull. The work goes on while the lull lasts."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._noted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def lasts(self) -> bool:
        """Whether no call has written since the work began."""
        return self._timer is None and not self._closing

    def note(self) -> None:
        """Count a call that wrote."""
        self._noted += 1
        if self._timer is None and not self._closing:
            self._wait()

    async def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await self._task

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SECONDS, self._look, self._noted)

    def _look(self, noted: int) -> None:
        if self._noted != noted or (self._task is not None and not self._task.done()):
            self._wait()
        else:
            self._timer = None
            self._task = asyncio.create_task(self._work())
