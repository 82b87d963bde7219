"""Starting another program under CPython."""

from __future__ import annotations

import os

_SIGKILL = 9
_SIGPIPE = 13


def memory_file(data: bytes) -> int:
    """Give a file with these bytes, to be read from its beginning; it is on no disk."""
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def new_pipe() -> tuple[int, int]:
    """Give a pipe's end to read, which does not block, and its end to write."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


def start(path: str, command: str, stdin: int, stdout: int) -> int:
    """Start a program with this process's environment but for CNI_COMMAND; give its process."""
    environment = os.environ.copy()
    environment["CNI_COMMAND"] = command
    given = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawn(path, [path], environment, file_actions=given, setsigdef=[_SIGPIPE])


def watch(process: int) -> int:
    """Give a descriptor that can be read once the process has ended."""
    return os.pidfd_open(process)


def kill(process: int) -> None:
    """End a process that does not end itself."""
    os.kill(process, _SIGKILL)


def status(process: int) -> int:
    """Wait for a process's end and give its exit status, of a signal the negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
