"""What is wrong with a request, whatever it is about."""

from __future__ import annotations

from typing import Final

from ipamd.models.address import IPAddress
from ipamd.models.errors.domain_error import DomainError
from ipamd.models.instant import Instant, rfc3339

_LISTED: Final = frozenset(
    {"allocation", "hold", "node", "owner", "pool", "quota", "request", "reservation", "token"}
)
"""What `ipamctl NOUN list` lists."""


class InvalidValue(DomainError):
    """A value of a request is invalid. `field` names it as the caller wrote it."""

    code = "invalid"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class RequestTooLarge(DomainError):
    """A request exceeds the limits of one transaction."""

    code = "too-large"


class NotAllowed(DomainError):
    """The selectors of a pool or the role of the caller forbid the request."""

    code = "not-allowed"


class NotFound(DomainError):
    """A request names something that does not exist. `hint` says what to do, if no list of `ipamctl` does."""

    code = "not-found"

    def __init__(self, what: str, name: str, hint: str = "") -> None:
        if not hint and what in _LISTED:
            hint = f"`ipamctl {what} list` shows what there is"
        super().__init__(f"there is no {what} {name!r}" + (f": {hint}" if hint else ""))


class StaleRevision(DomainError):
    """Something has changed since the caller read it."""

    code = "stale"


class IdempotencyMismatch(DomainError):
    """An idempotency key comes again with another body."""

    code = "idempotency-mismatch"


class IdempotencyEnded(DomainError):
    """An idempotency key comes again, and what it gave is not the holder's any more."""

    code = "idempotency-ended"

    def __init__(self, key: str, address: IPAddress, until: Instant) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} gave {address}, which ended at {rfc3339(until)}: use a new key"
        )
