"""What follows after a database was put back: nothing is given to anybody new until nodes have spoken."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """The last time that the database was put back, as ipamd was told or has noticed.

    `timeline` names what follows since; it is empty if the database was never put back. While `began` is
    set, holders that are new get nothing. `cause` says by what ipamd noticed it, None if an admin said so.
    """

    timeline: str = ""
    began: Instant | None = None
    cause: str | None = None
    revision: int = 0


def timeline_after(*timelines: str, name: str) -> str:
    """A timeline that is later than others; `name` tells it from others that are, too."""
    return f"{max(map(order_of, timelines)) + 1}-{name}"


def order_of(timeline: str) -> int:
    """The place of a timeline among those of a database: each begins after all that it knew."""
    number = timeline.partition("-")[0]
    return int(number) if number.isdecimal() else int(bool(timeline))
