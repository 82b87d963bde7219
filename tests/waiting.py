"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def eventually(seen: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fail where it never is. The bound is a busy machine's."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"it has not come to be in {seconds} s"
        time.sleep(0.02)
