"""When a call was issued, by its node's own clock. See "issued" in docs/issued.md."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Issued(Struct, frozen=True, gc=False):
    """The moment at which a plugin started.

    `boot` is the node's boot identity (a UUID's text), `uptime_ns` its CLOCK_BOOTTIME in nanoseconds,
    `time` the wall clock as text, for people only: no decision reads it.
    """

    boot: str
    uptime_ns: int
    time: str | None = None


class CallOrder(NamedTuple):
    """A place in the sequence of one node's calls: the boot's number, then nanoseconds within the boot."""

    boot: int
    uptime_ns: int
