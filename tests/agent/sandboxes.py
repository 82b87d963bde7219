"""Many containers at once, as processes that do nothing, each in a network namespace of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.network.namespace import Namespace

SECONDS: Final = 60
_SANDBOXES: Final = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
made = []
for _ in range(int(sys.argv[1])):
    assert libc.unshare(0x40000000) == 0
    made.append(os.fork())
    if made[-1] == 0:
        signal.pause()
print(*made, flush=True)
sys.stdin.read()
for each in made:
    os.kill(each, signal.SIGKILL)
    os.waitpid(each, 0)
"""


class Sandboxes:
    """The namespaces of containers, which go all at once, as those of a machine that loses its power."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self._process = process
        self._free = [Path(f"/proc/{each}/ns/net") for each in process.stdout.readline().split()]

    def make(self, name: str) -> Namespace:
        """Give one that no container has."""
        namespace = Namespace(name)
        namespace.path = self._free.pop()
        return namespace

    def end(self) -> None:
        """Return when no process is left in them."""
        self._process.communicate(timeout=SECONDS)


@contextmanager
def sandboxes(count: int) -> Iterator[Sandboxes]:
    """Make so many, until the block is left at the latest."""
    python = [sys.executable, "-I", "-S", "-c", _SANDBOXES, str(count)]
    with subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        made = Sandboxes(process)
        try:
            yield made
        finally:
            if process.poll() is None:
                made.end()
