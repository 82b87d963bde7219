"""How a backend whose operations never wait carries a unit of work to its end."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without an event loop; raises what it raises, and RuntimeError if it waits.

    A unit of work that waited for anything but the backend would keep a transaction open meanwhile.
    """
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("a unit of work may wait for its own transaction only")
