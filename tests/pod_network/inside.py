"""Calls of this process's own that happen in another network namespace."""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.network.namespace import Namespace

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000

R = TypeVar("R")


def inside(namespace: Namespace, call: Callable[[], R]) -> R:
    """Call something in a namespace; give what it returns, or raise what it raises."""

    def enter_and_call() -> R:
        file = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert _libc.setns(file, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(file)
        return call()

    with ThreadPoolExecutor(1) as thread:  # a namespace is a thread's own
        return thread.submit(enter_and_call).result()
