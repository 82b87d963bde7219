"""Errors as problem documents (RFC 9457), and the table from domain errors to HTTP statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from ipamd.models import errors
from ipamd.models.instant import rfc3339

MEDIA_TYPE: Final = "application/problem+json"

_STATUSES: Final[dict[type[errors.DomainError], HTTPStatus]] = {
    errors.InvalidValue: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.PoolUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.NothingFree: HTTPStatus.CONFLICT,
    errors.QuotaExceeded: HTTPStatus.CONFLICT,
    errors.AddressTaken: HTTPStatus.CONFLICT,
    errors.OwnerFull: HTTPStatus.CONFLICT,
    errors.OwnerHeld: HTTPStatus.CONFLICT,
    errors.AddressUnavailable: HTTPStatus.CONFLICT,
    errors.Overtaken: HTTPStatus.CONFLICT,
    errors.NotHeld: HTTPStatus.NOT_FOUND,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PoolExists: HTTPStatus.CONFLICT,
    errors.QuotaExists: HTTPStatus.CONFLICT,
    errors.HoldExists: HTTPStatus.CONFLICT,
    errors.HoldUnfilled: HTTPStatus.CONFLICT,
    errors.HeldBack: HTTPStatus.CONFLICT,
    errors.PoolOverlaps: HTTPStatus.CONFLICT,
    errors.PoolInUse: HTTPStatus.CONFLICT,
    errors.WouldStrand: HTTPStatus.CONFLICT,
    errors.ReservationConflicts: HTTPStatus.CONFLICT,
    errors.NodeJoined: HTTPStatus.CONFLICT,
    errors.NodeShutOut: HTTPStatus.CONFLICT,
    errors.NodeNameTaken: HTTPStatus.CONFLICT,
    errors.NodeAddressTaken: HTTPStatus.CONFLICT,
    errors.NetworkChangesTooOld: HTTPStatus.GONE,
    errors.LeaseOver: HTTPStatus.GONE,
    errors.LeaseSuperseded: HTTPStatus.CONFLICT,
    errors.LeaseSettling: HTTPStatus.CONFLICT,
    errors.SeveralWorkloads: HTTPStatus.CONFLICT,
    errors.CensusSuperseded: HTTPStatus.CONFLICT,
    errors.CensusSettling: HTTPStatus.CONFLICT,
    errors.CensusTooOften: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ReportGap: HTTPStatus.CONFLICT,
    errors.SeatLeased: HTTPStatus.CONFLICT,
    errors.NodeMayGive: HTTPStatus.CONFLICT,
    errors.NodeHoldsSeats: HTTPStatus.CONFLICT,
    errors.NodeDraining: HTTPStatus.CONFLICT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.NodeAlive: HTTPStatus.CONFLICT,
    errors.NotApplied: HTTPStatus.CONFLICT,
    errors.RequestDecided: HTTPStatus.CONFLICT,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StaleRevision: HTTPStatus.PRECONDITION_FAILED,
    errors.IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyEnded: HTTPStatus.CONFLICT,
    errors.SchemaUnfit: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseUnfit: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(Exception):
    """A refusal that is not an error of the domain."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    @classmethod
    def from_domain(cls, error: errors.DomainError) -> Problem:
        """A domain error as a problem."""
        status = _STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        members: dict[str, Any] = {}
        if isinstance(error, errors.InvalidValue):
            members["errors"] = [{"field": error.field, "why": error.why}]
        if isinstance(error, errors.AddressTaken) and error.allocation is not None:
            members["allocation"] = error.allocation
        if isinstance(error, errors.NodeAlive):
            members["last_contact"] = rfc3339(error.heard)
        if isinstance(error, errors.NotApplied):
            members["refusals"] = [
                {"what": refusal.what, "code": refusal.error.code, "why": str(refusal.error)}
                for refusal in error.refusals
            ]
        if isinstance(error, errors.ReportGap):
            members["wanted"] = error.wanted
        headers = {"Retry-After": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        if isinstance(error, errors.LeaseSettling | errors.CensusSettling | errors.CensusTooOften):
            headers["Retry-After"] = str(error.seconds)
        return cls(status, error.code, str(error), members, headers)

    def encoded(self) -> bytes:
        """The document, in ASCII: what it quotes may be invalid Unicode."""
        document = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }
        return json.dumps(document).encode()

    @property
    def header_lines(self) -> list[tuple[bytes, bytes]]:
        """The headers of an answer with the document, but for its length."""
        headers = {"content-type": MEDIA_TYPE, **self.headers}
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the document, as an ASGI application."""
        body = self.encoded()
        headers = [*self.header_lines, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        await send({"type": "http.response.body", "body": body})


TOO_SLOW: Final = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "too-slow",
    "the body took too long: send the request again",
    headers={"Connection": "close"},
)


def not_json(why: str) -> Problem:
    """The answer to a body that is no JSON."""
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-json", f"the body is not valid JSON: {why}")


def too_large(largest: int) -> Problem:
    """The answer to a body of more bytes than are read."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"the body is larger than {largest} bytes"
    )


def in_doubt() -> Problem:
    """The answer to a request that may or may not have been carried out."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "in-doubt",
        "the database did not confirm the change, and it may be stored: send the same request again",
    )
