"""A mount namespace for the process that runs tests: nobody else sees what tests mount.

A run that is killed takes its mounts along. Left on the machine they would be a trap for whoever tidies up:
who removes a folder in which the machine's /dev is mounted removes the machine's /dev.
"""

import ctypes
import os
from pathlib import Path
from typing import Final

NAMED_NETWORKS: Final = Path("/run/netns")
CLONE_NEWNS: Final = 0x00020000
MS_REC_SLAVE: Final = (
    0x84000  # what the machine unmounts is unmounted here too, and nothing goes the other way
)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def take_own() -> None:
    """Give this thread, and whatever it starts, mounts and named network namespaces of its own.

    Only root can, and only root can mount anything.
    """
    if os.geteuid() != 0:
        return
    _succeed(_LIBC.unshare(CLONE_NEWNS))
    _succeed(_LIBC.mount(None, b"/", None, MS_REC_SLAVE, None))
    NAMED_NETWORKS.mkdir(parents=True, exist_ok=True)
    _succeed(_LIBC.mount(b"ipamd-tests", os.fsencode(NAMED_NETWORKS), b"tmpfs", 0, b"mode=755"))


def _succeed(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"a mount namespace for the tests: {os.strerror(number)}")
