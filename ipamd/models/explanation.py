"""What a request would get, and why."""

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
    """A pool that a request considers. `why` is the sentence that an error would say.

    `position` is the place in the answer that the pool might serve, None if it serves none.
    """

    pool: str
    position: int | None
    standing: PoolStanding
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome that a request would have now, and its reasons.

    `unlisted` is the number of refusing pools that `considered` does not list.
    """

    outcome: Granted | Refused
    considered: tuple[Considered, ...]
    remarks: tuple[str, ...]
    unlisted: int = 0
