"""Network namespaces for a benchmark: a node and a pod, and how a process starts inside the node."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.network.namespace import Namespace

OWN: Final = Path("/proc/thread-self/ns/net")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Namespaces with names of this process's own, gone afterwards."""
    made: list[Namespace] = []
    try:
        for name in names:
            namespace = Namespace(f"ipamd-bench-{os.getpid()}-{name}")
            namespace.create()
            made.append(namespace)
        yield made
    finally:
        for namespace in made:
            namespace.delete()


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """What this thread starts meanwhile is in the namespace: nsenter would be a process more to time."""
    own = os.open(OWN, os.O_RDONLY)
    other = os.open(namespace.path, os.O_RDONLY)
    try:
        _enter(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)
        os.close(other)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
