"""What follows after a database was put back: nothing is given to anybody new until nodes have spoken."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """The last time that the database was put back, as ipamd was told.

    `timeline` names what follows since; it is empty if the database was never put back. While `began` is
    set, holders that are new get nothing.
    """

    timeline: str = ""
    began: Instant | None = None
    revision: int = 0
