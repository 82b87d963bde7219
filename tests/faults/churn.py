"""Clients that come and go without pause, and note what each ADD was told and when."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from tests.faults.clients import SECONDS, Answer, Caller, Node


@dataclass(frozen=True)
class Added:
    """An ADD of a new container: begun at `sent`, known at `answered`, in seconds of the monotonic clock."""

    sent: float
    answered: float
    answer: Answer

    def falls_into(self, begin: float, end: float) -> bool:
        """Whether all of the call lies between two moments."""
        return begin <= self.sent and self.answered <= end


class Churn:
    """16 clients that add new containers and have `most` at a time, until the block is left.

    Of several services each serves as many of them.
    """

    def __init__(self, port: int, pools: Sequence[str], *more: int, clients: int = 16, most: int = 1) -> None:
        ports = (port, *more)
        self._callers = [
            Caller(ports[number % len(ports)], Node(f"node-{number % 4}"), pools) for number in range(clients)
        ]
        self._most = most
        self._added: list[list[Added]] = [[] for _ in range(clients)]
        self._enough = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Churn":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        if error is None and self._failed:
            raise self._failed[0]

    @property
    def added(self) -> list[Added]:
        """All ADDs that were answered so far, client by client."""
        return [one for of_client in self._added for one in list(of_client)]

    def await_more(self, count: int) -> None:
        """Wait until so many more ADDs were answered."""
        wanted = len(self.added) + count
        self.await_that(lambda: len(self.added) >= wanted)

    def await_that(self, seen: Callable[[], bool]) -> None:
        """Wait for something that the clients will be told."""
        deadline = time.monotonic() + SECONDS
        while not seen():
            if self._failed:
                raise self._failed[0]
            assert time.monotonic() < deadline, "what was waited for did not happen"
            time.sleep(0.005)

    def _run(self, number: int) -> None:
        try:
            self._add_and_delete(number)
        except BaseException as error:
            self._failed.append(error)
            raise
        finally:
            self._callers[number].close()

    def _add_and_delete(self, number: int) -> None:
        caller = self._callers[number]
        living: list[str] = []
        count = 0
        while not self._enough.is_set():
            if len(living) == self._most:
                assert caller.delete(living.pop(0)).code == 0
            count += 1
            container = f"c{number}-{count}"
            sent = time.monotonic()
            answer = caller.add(container)
            self._added[number].append(Added(sent, time.monotonic(), answer))
            if answer.code == 0:
                living.append(container)
