"""Settings of the kernel under /proc/sys/net, of the network namespace in which this process is."""

from __future__ import annotations

from cni_plugin import platform

_ROOT = "/proc/sys/net/"
_NO_SUCH_FILE = 2
_LARGEST = 64


def read(key: str) -> str | None:
    """Give a setting; None if the kernel has none of that name, as without IPv6. OSError."""
    try:
        file = platform.open_file(_ROOT + key, platform.O_RDONLY | platform.O_CLOEXEC)
    except OSError as error:
        if error.errno == _NO_SUCH_FILE:
            return None
        raise
    try:
        return platform.read(file, _LARGEST).decode().strip()
    finally:
        platform.close(file)


def write(key: str, value: str) -> bool:
    """Change a setting; False if the kernel has none of that name. OSError."""
    try:
        file = platform.open_file(_ROOT + key, platform.O_WRONLY | platform.O_CLOEXEC)
    except OSError as error:
        if error.errno == _NO_SUCH_FILE:
            return False
        raise
    try:
        platform.write(file, value.encode())
    finally:
        platform.close(file)
    return True
