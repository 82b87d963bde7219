"""Time that passes when nobody has work, and an event loop that lives in it."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import Context, ContextVar
from typing import Any, Final
from unittest.mock import patch

NS: Final = 1_000_000_000
_BEGIN: Final = 1_000_000 * NS
_WALL: Final = 1_800_000_000 * NS
_OUTSIDE_SECONDS: Final = 60.0

booted: ContextVar[int] = ContextVar("booted", default=0)
"""When the machine booted whose code runs."""

_life: ContextVar[Life | None] = ContextVar("life", default=None)


def is_of_a_process() -> bool:
    """Whether code runs for a process that lives on, not for a call of the plugin."""
    return _life.get() is not None


class Life:
    """A process: the tasks that it has made, which end together."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tasks: set[asyncio.Task[Any]] = set()
        context.run(_life.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin some work of this process."""
        loop = asyncio.get_running_loop()
        return loop.create_task(work, context=self.context.copy())

    async def kill(self) -> None:
        """End it, wherever it is."""
        while waiting := [task for task in self.tasks if not task.done()]:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        self.tasks.clear()


class Time:
    """The one time of all machines. The wall clock may be set."""

    def __init__(self) -> None:
        self.now = _BEGIN
        self.ahead = 0
        self.standing = 0
        """How many wait for something outside, which takes no time here."""

    def advance(self, seconds: float) -> None:
        self.now += math.ceil(seconds * NS) + 1000

    @contextmanager
    def stands(self) -> Iterator[None]:
        """Let no time pass while something outside is waited for."""
        self.standing += 1
        try:
            yield
        finally:
            self.standing -= 1

    def wall_ns(self) -> int:
        return _WALL + self.now + self.ahead

    @contextmanager
    def replaced(self, sleep: Callable[[float], None]) -> Iterator[None]:
        """Have all code of this process read these clocks, and pass time by `sleep`."""
        clocks: Mapping[str, Callable[..., Any]] = {
            "monotonic": lambda: self.now / NS,
            "monotonic_ns": lambda: self.now,
            "time": lambda: self.wall_ns() / NS,
            "time_ns": self.wall_ns,
            "clock_gettime_ns": lambda _: self.now - booted.get(),
            "sleep": sleep,
        }
        with ExitStack() as stack:
            for name, clock in clocks.items():
                stack.enter_context(patch.object(time, name, clock))
            yield


class _Selector(selectors.EpollSelector):
    """If nobody has work, the time of the next timer comes at once."""

    def __init__(self, passing: Time) -> None:
        super().__init__()
        self._time = passing

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._time.standing:
            ready = super().select(_OUTSIDE_SECONDS)
            assert ready, "what is outside does not answer"
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        self._time.advance(timeout)
        return []


class Loop(asyncio.SelectorEventLoop):
    """The event loop of all processes. What they give to threads is done at once."""

    def __init__(self, passing: Time) -> None:
        super().__init__(_Selector(passing))
        self._passing = passing
        self.set_task_factory(_task)  # type: ignore[arg-type]  # typeshed lacks the context

    def time(self) -> float:
        return self._passing.now / NS

    def run_in_executor(  # type: ignore[override]  # whatever its types are
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            done.set_exception(error)
        return done


def _task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    life = _life.get() if context is None else context.get(_life)
    if life is not None:
        life.tasks.add(task)
        task.add_done_callback(life.tasks.discard)
    return task
