"""Which network namespaces live on this node, as far as this process can see.

A namespace lives if a process or thread is in it, if it is mounted somewhere, or if somebody has it open.
The kernel has no list of them. So the cheap places are searched first, and the others only if something is
missing there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from typing import Final

_INITIAL_PIDS: Final = "pid:[4026531836]"
"""The first PID namespace, that of the machine (PROC_PID_INIT_INO in linux/proc_ns.h)."""

_LINK: Final = re.compile(r"net:\[(\d+)\]\Z")
_MOUNTED: Final = re.compile(rb" net:\[(\d+)\] /")


_INIT: Final = "1"


class Unseen(Exception):
    """Something cannot be seen, so that nobody can say that a namespace is gone. `str()` says what."""


def own_device() -> int:
    """The device of all namespaces' inodes."""
    return os.stat("/proc/self/ns/net").st_dev


def check_sight() -> None:
    """Raise Unseen if there are processes on this machine that this one does not see."""
    if os.readlink("/proc/self/ns/pid") != _INITIAL_PIDS:
        raise Unseen("the agent is in a PID namespace of its own, and sees no containers' processes")


def of_processes() -> Set[int]:
    """The inodes of namespaces in which processes are. Raises Unseen."""
    return _search(lambda pid: {_seen(f"/proc/{pid}/ns/net")})


def anywhere() -> Set[int]:
    """The inodes of namespaces in which threads are, that are mounted, or that are open. Raises Unseen."""
    searched: set[str] = set()

    def keeps(pid: str) -> set[int]:
        found: set[int] = set()
        with suppress(FileNotFoundError, ProcessLookupError):
            mounts = os.readlink(f"/proc/{pid}/ns/mnt")
            if mounts not in searched:
                found |= _mounted(pid)
                searched.add(mounts)
        for folder, name in (("task", "/ns/net"), ("fd", "")):
            inside = f"/proc/{pid}/{folder}"
            found |= {_seen(f"{inside}/{each}{name}") for each in _listed(inside)}
        return found

    return _mounted("self") | _search(keeps)


def _search(keeps: Callable[[str], Set[int]]) -> Set[int]:
    """What all processes keep. The first one may be hidden: no container has it, and none lives by it."""
    found: set[int] = set()
    for pid in _processes():
        try:
            found |= keeps(pid)
        except (PermissionError, Unseen) as error:
            if pid != _INIT:
                raise Unseen(str(error)) from None
    return found - {0}


def _processes() -> Iterator[str]:
    return (name for name in os.listdir("/proc") if name.isdigit())


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return []  # the process has ended
    except PermissionError:
        raise Unseen(f"{folder} may not be read: the agent needs CAP_DAC_READ_SEARCH") from None


def _mounted(pid: str) -> set[int]:
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            return {int(inode) for inode in _MOUNTED.findall(file.read())}
    except PermissionError:
        raise Unseen(f"the mounts of process {pid} may not be read: the agent needs CAP_SYS_PTRACE") from None
    except OSError:
        return set()  # the process has ended


def _seen(path: str) -> int:
    """The inode of the namespace that a link of /proc names, 0 if it names none."""
    try:
        found = _LINK.match(os.readlink(path))
    except PermissionError:
        raise Unseen(f"{path} may not be read: the agent needs CAP_SYS_PTRACE") from None
    except OSError:
        return 0  # the process has ended
    return int(found[1]) if found is not None else 0
