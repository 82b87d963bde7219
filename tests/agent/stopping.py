"""Has a process stand still right before it sends a message, as if it had got SIGSTOP there: a program.

Arguments PROCESS HEX: a message that has these bytes somewhere. It prints a line once the process stands, and
lets it go on when its own stdin ends.
"""

import contextlib
import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SYSCALL, _SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = 24, 0x4206, 0x4207, 0x420E
_MARK_SYSCALLS, _NEW_THREADS_TOO = 1, 8
_ENTRY: Final = 1
_INFO: Final = struct.Struct(
    "=B7x2Q7Q"
)  # struct ptrace_syscall_info: the call's number and six arguments last
_ALL_THREADS: Final = 0x40000000
_AT_CALL: Final = signal.SIGTRAP | 0x80
_LARGEST: Final = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


@contextlib.contextmanager
def stopped_before(process: int, message: bytes) -> Iterator[None]:
    """The block runs while the process stands still right before it sends a message that has these bytes."""
    command = [sys.executable, "-m", __name__, str(process), message.hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stopping:
        assert stopping.stdin is not None
        assert stopping.stdout is not None
        try:
            assert stopping.stdout.readline() == b"it stands\n"
            yield
        finally:
            stopping.stdin.close()
    assert stopping.returncode == 0


def main(process: int, message: bytes) -> None:
    """Follow all threads of the process, each from call to call, until one is about to send the message."""
    for thread in [int(path.name) for path in Path(f"/proc/{process}/task").iterdir()]:
        _ask(_SEIZE, thread, 0, _MARK_SYSCALLS | _NEW_THREADS_TOO)
        _ask(_INTERRUPT, thread)
    while True:
        thread, status = os.waitpid(-1, _ALL_THREADS)
        if not os.WIFSTOPPED(status):
            continue
        if os.WSTOPSIG(status) == _AT_CALL and message in _sent(thread):
            break
        is_signal = os.WSTOPSIG(status) not in (_AT_CALL, signal.SIGTRAP) and not status >> 16
        _ask(_SYSCALL, thread, 0, os.WSTOPSIG(status) if is_signal else 0)
    print("it stands", flush=True)
    sys.stdin.read()
    # The end of this process lets all of its threads go on.


def _sent(thread: int) -> bytes:
    """What a thread hands the kernel in the call that it is about to make; nothing if it hands over none."""
    info = ctypes.create_string_buffer(_INFO.size)
    _ask(_GET_SYSCALL_INFO, thread, _INFO.size, ctypes.addressof(info))
    op, _, _, _, _, where, size, *_ = _INFO.unpack(info.raw)
    if op != _ENTRY or not 0 < size <= _LARGEST:
        return b""
    try:
        with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
            memory.seek(where)
            return memory.read(size)
    except (OSError, OverflowError, ValueError):
        return b""  # the second argument was no address


def _ask(request: int, thread: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, thread, address, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
