"""The writing thread: one unit of work after another, in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

T = TypeVar("T")

NAME: Final = "ipamd-write"


class Writer:
    """Runs calls for the event loop in which it was made.

    For each call an executor needs two futures, three locks and a semaphore. A lone ADD waits for these
    longer than for its statements (docs/decisions/0009-hot-path.md).
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._ended = self._loop.create_future()
        # A process that ends by an error must not wait for it: what it commits is whole or nothing.
        Thread(target=self._run, name=NAME, daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, after the calls before it. It runs even if nobody waits for it."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._calls.put((call, answer))
        return await answer

    async def end(self) -> None:
        """End the thread after all calls."""
        self._calls.put(None)
        await self._ended

    def _run(self) -> None:
        while (waiting := self._calls.get()) is not None:
            call, answer = waiting
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  # whoever waits raises it
                self._loop.call_soon_threadsafe(_fail, answer, error)
            else:
                self._loop.call_soon_threadsafe(_tell, answer, result)
        self._loop.call_soon_threadsafe(_tell, self._ended, None)


def _tell(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
