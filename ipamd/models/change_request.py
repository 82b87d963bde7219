"""Change requests: what a reader asks for, until an admin approves or refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ipamd.models.instant import Instant

MOST_OPEN: Final = 1000
MOST_OPEN_OF_ONE: Final = 50
"""How many requests may wait for an admin, in all and of one principal."""


class RequestKind(StrEnum):
    """What is asked for."""

    ALLOCATION = "allocation"  # an address for an owner
    RESERVATION = "reservation"


class RequestState(StrEnum):
    """What became of a request."""

    OPEN = "open"
    APPROVING = "approving"  # the address may be taken already; approved again, it goes on
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A request. `wanted` is the body that REST takes for what is asked for.

    `outcome` says what was made: the number of the reservation or the allocation, and the addresses. The id
    is the revision of the change that made the request.
    """

    kind: RequestKind
    wanted: Mapping[str, Any]
    note: str | None
    created: Instant
    created_by: str
    state: RequestState = RequestState.OPEN
    decided: Instant | None = None
    decided_by: str | None = None
    reason: str | None = None
    outcome: Mapping[str, Any] | None = None
    id: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it was approved or refused, and nothing is left to do."""
        return self.state in (RequestState.APPROVED, RequestState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQuery:
    """Which requests: those that match all given fields."""

    state: RequestState | None = None
    by: str | None = None

    def matches(self, request: ChangeRequest) -> bool:
        """Whether a request is asked for."""
        return self.state in (None, request.state) and self.by in (None, request.created_by)
