"""When a call was issued, by the clock of its node (docs/issued.md)."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from ipamd.models.instant import SECOND

REMEMBERED_FOR: Final = 15 * 60 * SECOND
"""How long a release is told to calls that it overtook: longer than any runtime waits for an ADD."""


class Issued(Struct, frozen=True, gc=False):
    """The moment when a plugin started.

    `boot` is the node's boot identity, a UUID as text. `uptime_ns` is its CLOCK_BOOTTIME in nanoseconds.
    `time` is the wall clock as text: it is for people, and no decision reads it.
    """

    boot: str
    uptime_ns: int
    time: str | None = None


class CallOrder(NamedTuple):
    """A place in the sequence of one node's calls: the boot's number, then nanoseconds within the boot."""

    boot: int
    uptime_ns: int


NO_CALL: Final = CallOrder(0, 0)
"""The order of a row that no call took: of a free seat, or of what is left of a hold."""
