"""What would become of a request, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ipamd.models.outcome import Granted, Refused


class PoolStanding(StrEnum):
    """What a pool is to a request."""

    GIVES = "gives"  # an address of the answer is from it
    HOLDS = "holds"  # the holder has one of its addresses already, and gets it again
    SPARE = "spare"  # it has room, which the answer does not need
    FULL = "full"
    DRAINING = "draining"
    REFUSES = "refuses"  # by its selectors, its auto_assign, or because of the address asked for


@dataclass(frozen=True, slots=True)
class Considered:
    """A pool that a request looked at. `why` is a sentence, the one that an error says too.

    `position` is the place in the answer that it might have served; None if it serves none.
    """

    pool: str
    position: int | None
    standing: PoolStanding
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome that a request would have now, and all that led to it.

    `unlisted` is how many further pools refuse it, beside those of `considered`.
    """

    outcome: Granted | Refused
    considered: tuple[Considered, ...]
    remarks: tuple[str, ...]
    unlisted: int = 0
