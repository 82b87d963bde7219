"""Change requests as JSON."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from ipamd.api.schemas.allocation import NewAllocation
from ipamd.api.schemas.reservation import NewReservation
from ipamd.api.schemas.text import Document, Note, Word
from ipamd.models.change_request import ChangeRequest, RequestKind, RequestQuery, RequestState
from ipamd.models.errors import InvalidValue
from ipamd.models.instant import rfc3339


class NewRequest(Document):
    """What is asked for: either an `allocation` or a `reservation`, with the fields that REST takes for it.

    `note` says why, for the admin who decides.
    """

    allocation: NewAllocation | None = None
    reservation: NewReservation | None = None
    note: Note | None = None

    def kind(self) -> RequestKind:
        """Which of the two. Raises InvalidValue unless it is one."""
        if (self.allocation is None) == (self.reservation is None):
            raise InvalidValue("allocation", "ask for either an allocation or a reservation")
        if self.reservation is not None:
            self.reservation.value()
            return RequestKind.RESERVATION
        return RequestKind.ALLOCATION

    def wanted(self) -> dict[str, Any]:
        """The fields of what is asked for that were given."""
        asked = self.allocation if self.allocation is not None else self.reservation
        return asked.model_dump(exclude_none=True) if asked is not None else {}


class Approval(Document):
    """An approval. `reason` is for those who read the request later."""

    reason: Note | None = None


class RequestRefusal(Document):
    """A refusal, and why."""

    reason: Note


class RequestFilter(Document):
    """Which requests: those that match all given fields."""

    state: Literal["open", "approving", "approved", "refused"] | None = None
    by: Word | None = None

    def value(self) -> RequestQuery:
        """The filter as a value."""
        return RequestQuery(state=RequestState(self.state) if self.state is not None else None, by=self.by)


class ShownRequest(TypedDict):
    """A request as it is shown.

    `outcome` has the number of what was made, as `allocation` or `reservation`, and its `address`.
    """

    id: int
    kind: Literal["allocation", "reservation"]
    wanted: dict[str, Any]
    note: str | None
    created: str
    created_by: str
    state: Literal["open", "approving", "approved", "refused"]
    decided: str | None
    decided_by: str | None
    reason: str | None
    outcome: dict[str, Any] | None


def document_of(request: ChangeRequest) -> ShownRequest:
    """A request as it is shown."""
    return {
        "id": request.id,
        "kind": request.kind.value,
        "wanted": dict(request.wanted),
        "note": request.note,
        "created": rfc3339(request.created),
        "created_by": request.created_by,
        "state": request.state.value,
        "decided": rfc3339(request.decided) if request.decided is not None else None,
        "decided_by": request.decided_by,
        "reason": request.reason,
        "outcome": dict(request.outcome) if request.outcome is not None else None,
    }
