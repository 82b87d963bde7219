"""Inodes of namespaces that strangers may take, so that they leave alone those of dead containers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COUNT: Final = 40
_KEEP: Final = f"""
import ctypes, os
libc = ctypes.CDLL(None)
kept = []
for _ in range({COUNT}):
    assert libc.unshare(0x40000000) == 0
    kept.append(os.open("/proc/self/ns/net", os.O_RDONLY))
print("made", flush=True)
input()
"""


class SpareInodes:
    """Namespaces that are made before a test's own.

    The kernel gives the lowest number that is free. So when these end together with a container, other tests
    take their numbers before the container's.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def free(self) -> None:
        """Let them go."""
        self._process.kill()
        self._process.wait()


@contextmanager
def spare_inodes() -> Iterator[SpareInodes]:
    """Make them, until the block is left at the latest."""
    python = [sys.executable, "-I", "-S", "-c", _KEEP]
    with subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        spare = SpareInodes(process)
        try:
            assert process.stdout.readline() == b"made\n"
            yield spare
        finally:
            spare.free()
