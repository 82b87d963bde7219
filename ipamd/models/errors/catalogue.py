"""Why something that admins set up does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipamd.models.errors.domain_error import DomainError

MOST_REFUSALS: Final = 8
"""How many refusals one sentence names."""


class PoolUnknown(DomainError):
    """A request names a pool that does not exist."""

    code = "pool-unknown"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no pool {name!r}: create it, or name another")
        self.name = name


class PoolExists(DomainError):
    """A pool with this name exists already."""

    code = "pool-exists"


class QuotaExists(DomainError):
    """A quota with this name exists already."""

    code = "quota-exists"


class HoldExists(DomainError):
    """A hold with this name exists already."""

    code = "hold-exists"


class HoldUnfilled(DomainError):
    """A pool does not have as many addresses free as a hold is to have: it has none, and there is no hold."""

    code = "hold-unfilled"

    def __init__(self, hold: str, size: int, why: str) -> None:
        super().__init__(f"hold {hold} was not made, since it cannot have all its {size} addresses: {why}")


class PoolOverlaps(DomainError):
    """A pool would overlap another pool of its space."""

    code = "pool-overlaps"


class PoolInUse(DomainError):
    """A pool cannot be deleted: some of its addresses are held, or a quota or a hold is for it."""

    code = "pool-in-use"


class WouldStrand(DomainError):
    """After a change a pool could no longer give addresses that are held."""

    code = "would-strand"


class ReservationConflicts(DomainError):
    """A reservation overlaps another or an address that somebody else holds, or its pool gives none of it."""

    code = "reservation-conflicts"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused entry of a file, and why."""

    what: str
    error: DomainError

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


class NotApplied(DomainError):
    """A part of a file was refused, so nothing of it was applied."""

    code = "not-applied"

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        more = len(refusals) - MOST_REFUSALS
        said = "; ".join(map(str, refusals[:MOST_REFUSALS])) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"nothing was applied: {said}")
        self.refusals = refusals


class RequestDecided(DomainError):
    """A request was approved or refused before, or is being approved."""

    code = "request-decided"


class TooManyRequests(DomainError):
    """Too many requests wait for an admin."""

    code = "too-many-requests"
