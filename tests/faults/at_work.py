"""What works beside a test, each on a thread of its own, for as long as a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def at_work(*works: Callable[[threading.Event], None]) -> Iterator[list[Future[None]]]:
    """Let all of them work meanwhile; each is done early if it raised. Raises what any of them raised."""
    enough = threading.Event()
    with ThreadPoolExecutor(len(works)) as threads:
        running = [threads.submit(work, enough) for work in works]
        try:
            yield running
        finally:
            enough.set()
    for each in running:
        each.result()
