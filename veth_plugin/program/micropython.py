"""Starting another program in the static executable."""

from __future__ import annotations

import _linux

from cni_plugin.platform import O_CLOEXEC, O_NONBLOCK, write

_SIGKILL = 9
_F_SETFL = 4
_MFD_CLOEXEC = 1


def memory_file(data: bytes) -> int:
    """Give a file with these bytes, to be read from its beginning; it is on no disk."""
    file = _linux.syscall(_linux.SYS_memfd_create, b"stdin\0", _MFD_CLOEXEC)
    rest = memoryview(data)
    while len(rest):
        rest = rest[write(file, rest) :]
    _linux.syscall(_linux.SYS_lseek, file, 0, 0)
    return file


def new_pipe() -> tuple[int, int]:
    """Give a pipe's end to read, which does not block, and its end to write."""
    ends = bytearray(8)
    _linux.syscall(_linux.SYS_pipe2, ends, O_CLOEXEC)
    reading, writing = int.from_bytes(ends[:4], "little"), int.from_bytes(ends[4:], "little")
    _linux.syscall(_linux.SYS_fcntl, reading, _F_SETFL, O_NONBLOCK)
    return reading, writing


def start(path: str, command: str, stdin: int, stdout: int) -> int:
    """Start a program with this process's environment but for CNI_COMMAND; give its process."""
    return _linux.spawn(path, "CNI_COMMAND=" + command, stdin, stdout)


def watch(process: int) -> int:
    """Give a descriptor that can be read once the process has ended."""
    return _linux.syscall(_linux.SYS_pidfd_open, process, 0)


def kill(process: int) -> None:
    """End a process that does not end itself."""
    _linux.syscall(_linux.SYS_kill, process, _SIGKILL)


def status(process: int) -> int:
    """Wait for a process's end and give its exit status, of a signal the negative number."""
    ended = bytearray(4)
    _linux.syscall(_linux.SYS_wait4, process, ended, 0, None)
    signal = ended[0] & 0x7F
    return -signal if signal else ended[1]
