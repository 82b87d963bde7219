"""Runs a unit of work to its end for a backend whose operations never wait."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine without an event loop. Raises what it raises, and RuntimeError if it waits.

    If a unit of work waited for anything but the backend, its transaction would stay open meanwhile.
    """
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("a unit of work may wait for its own transaction only")
