"""Network namespaces for a benchmark: a node and its pods, and how a process starts inside the node."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from tests.network.namespace import Namespace, run

OWN: Final = Path("/proc/thread-self/ns/net")
SECONDS: Final = 300
CLONE_NEWNS: Final = 0x00020000
MS_PRIVATE: Final = 0x44000  # and all below
MS_BIND: Final = 4096
MNT_DETACH: Final = 2
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
def crowd(node: Namespace, number: int) -> Iterator[list[Namespace]]:
    """Many bare namespaces for pods of a node.

    Afterwards the node's pairs go first: a pair that goes with its namespace costs the kernel far more.
    """
    pods = [Namespace(f"{node.name}-{each}") for each in range(number)]
    try:
        _batch([], *(f"netns add {pod.name}" for pod in pods))
        yield pods
    finally:
        shown = json.loads(node.run("ip", "-j", "link", "show", "type", "veth") or "[]")
        _batch(node.prefix(), *(f"link delete {each['ifname']}" for each in shown))
        _batch([], *(f"netns delete {pod.name}" for pod in pods if pod.path.exists()))


def _batch(prefix: list[str], *lines: str) -> None:
    with NamedTemporaryFile("w", suffix=".batch") as file:
        file.write("\n".join(lines))
        file.flush()
        run(*prefix, "ip", "-batch", file.name, timeout=SECONDS)


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


@contextmanager
def own_run(folder: Path) -> Iterator[None]:
    """What this thread starts meanwhile sees a folder as /run. The thread keeps its mount namespace."""
    if _LIBC.unshare(CLONE_NEWNS) or _LIBC.mount(None, b"/", None, MS_PRIVATE, None):
        raise _failure()
    if _LIBC.mount(os.fsencode(folder), b"/run", None, MS_BIND, None):
        raise _failure()
    try:
        yield
    finally:
        if _LIBC.umount2(b"/run", MNT_DETACH):
            raise _failure()


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, 0):
        raise _failure()
