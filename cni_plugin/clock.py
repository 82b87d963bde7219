"""Moments, which order the calls of a node, and deadlines, which limit a call."""

from __future__ import annotations

import time

from cni_plugin.failure import IO_FAILURE, Failure, reason
from cni_plugin.platform import uptime_ns
from cni_plugin.quoting import quote

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
DEFAULT_TIMEOUT = 10.0  # seconds of an invocation; also until its configuration is read
_MS = 1_000_000
_S = 1_000_000_000


class Moment:
    """The moment of a call: the boot of the node, CLOCK_BOOTTIME, and the wall clock for people."""

    def __init__(self, boot: str, uptime: int, wall: int) -> None:
        self.boot = boot
        self.uptime_ns = uptime
        self.wall_ns = wall

    def encode(self) -> str:
        """Give the JSON object of `issued` and `delivered`."""
        wall = quote(rfc3339(self.wall_ns))
        return f'{{"boot":{quote(self.boot)},"uptime_ns":{self.uptime_ns},"time":{wall}}}'


def now() -> Moment:
    """Read the clocks first, then the identity of the boot. Failure 5 if /proc does not tell it."""
    uptime, wall = uptime_ns(), time.time_ns()
    try:
        with open(_BOOT_ID, "rb") as file:
            boot = file.read(64).decode().strip()
    except OSError as error:
        raise Failure(IO_FAILURE, f"{_BOOT_ID} cannot be read: {reason(error)}") from error
    return Moment(boot, uptime, wall)


def rfc3339(wall_ns: int) -> str:
    """Write nanoseconds since 1970 as RFC 3339 in UTC, to the nanosecond."""
    year, month, day, hour, minute, second = time.gmtime(wall_ns // _S)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{wall_ns % _S:09d}Z"


class Deadline:
    """The end of a call or of a part of it, in nanoseconds of uptime."""

    def __init__(self, end_ns: int) -> None:
        self.end_ns = end_ns

    def left_ms(self) -> int:
        """Give the milliseconds left, rounded up, 0 if the deadline has passed."""
        left = self.end_ns - uptime_ns()
        return (left + _MS - 1) // _MS if left > 0 else 0

    def within_ms(self, limit: int) -> Deadline:
        """Give the deadline in that many milliseconds, or this one if it is sooner."""
        return Deadline(min(self.end_ns, uptime_ns() + limit * _MS))

    def share(self, parts: int) -> Deadline:
        """Give the end of the first of so many equal parts of the time left."""
        return self.within_ms(self.left_ms() // parts) if parts > 1 else self


def after(start_ns: int, seconds: float) -> Deadline:
    """Give the deadline so many seconds after a point of uptime."""
    return Deadline(start_ns + int(seconds * _S))


def sleep_ms(milliseconds: int) -> None:
    """Wait."""
    time.sleep(milliseconds / 1000)
