"""Errors as problem documents (RFC 9457), and the table from domain errors to HTTP statuses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from ipamd.api.fields import fields_at
from ipamd.backends.interface import InDoubt
from ipamd.models import errors
from ipamd.models.instant import rfc3339
from ipamd.models.nearest import unknown

MEDIA_TYPE: Final = "application/problem+json"
MOST_LISTED: Final = 20
"""How many wrong fields a problem lists. A body may have a million."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_STATUSES: Final[dict[type[errors.DomainError], HTTPStatus]] = {
    errors.InvalidValue: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.PoolUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.NothingFree: HTTPStatus.CONFLICT,
    errors.AddressTaken: HTTPStatus.CONFLICT,
    errors.AddressUnavailable: HTTPStatus.CONFLICT,
    errors.Overtaken: HTTPStatus.CONFLICT,
    errors.NotHeld: HTTPStatus.NOT_FOUND,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PoolExists: HTTPStatus.CONFLICT,
    errors.PoolOverlaps: HTTPStatus.CONFLICT,
    errors.PoolInUse: HTTPStatus.CONFLICT,
    errors.WouldStrand: HTTPStatus.CONFLICT,
    errors.ReservationConflicts: HTTPStatus.CONFLICT,
    errors.NodeJoined: HTTPStatus.CONFLICT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.NodeAlive: HTTPStatus.CONFLICT,
    errors.NotApplied: HTTPStatus.CONFLICT,
    errors.StaleRevision: HTTPStatus.PRECONDITION_FAILED,
    errors.IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyEnded: HTTPStatus.CONFLICT,
    errors.SchemaUnfit: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseUnfit: HTTPStatus.SERVICE_UNAVAILABLE,
}


_OF_THE_ROUTER: Final = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path: /docs lists all paths",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path takes other methods: the header `Allow` lists them",
}
"""Sentences for requests without a route: the router says no more than the status."""


class ProblemDocument(BaseModel):
    """The form of every error. `code` never changes."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str


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
        headers = {"Retry-After": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        return cls(status, error.code, str(error), members, headers)

    def response(self) -> Response:
        """The document, in ASCII: what it quotes may be invalid Unicode."""
        document = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }
        return Response(json.dumps(document), self.status, self.headers, MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the document, as an ASGI application."""
        await self.response()(scope, receive, send)


TOO_SLOW: Final = Problem(
    HTTPStatus.REQUEST_TIMEOUT,
    "too-slow",
    "the body took too long: send the request again",
    headers={"Connection": "close"},
)


def install(application: FastAPI) -> None:
    """Answer every error of an application with a problem document."""
    application.add_exception_handler(Problem, _answer)
    application.add_exception_handler(errors.DomainError, _answer)
    application.add_exception_handler(RequestValidationError, _answer)
    application.add_exception_handler(ValidationError, _answer)
    application.add_exception_handler(HTTPException, _answer)
    application.add_exception_handler(InDoubt, _answer)
    application.add_exception_handler(Exception, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    problem = _problem_of(error, request.scope.get("route"))
    if problem.status is HTTPStatus.METHOD_NOT_ALLOWED:
        # The router names the methods of the first route with this path only; other routes may have it too.
        problem.headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return problem.response()


def _methods(request: Request) -> set[str]:
    """The methods that the path of a request takes."""
    methods = {
        method
        for route in cast(list[Route], request.app.state.routes)
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return methods | {"HEAD"} if "GET" in methods else methods


def _problem_of(error: Exception, route: object) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.DomainError):
        return Problem.from_domain(error)
    if isinstance(error, RequestValidationError | ValidationError):
        return _of_validation(error.errors(), route)
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, InDoubt):
        return in_doubt()
    # Starlette raises it again after this answer, and the server logs it with its traceback.
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "ipamd failed on this request: its log has the details"
    )


def in_doubt() -> Problem:
    """The answer to a request that may or may not have been carried out."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "in-doubt",
        "the database did not confirm the change, and it may be stored: send the same request again",
    )


def _of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    return Problem(status, code, _OF_THE_ROUTER.get(status, str(error.detail)), headers=error.headers)


def _of_validation(found: Sequence[Any], route: object) -> Problem:
    listed = [{"field": _field(each["loc"]), "why": _why(each, route)} for each in found[:MOST_LISTED]]
    detail = "; ".join(f"{each['field']}: {each['why']}" for each in listed)
    if len(found) > MOST_LISTED:
        detail += f"; and {len(found) - MOST_LISTED} more"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, errors.InvalidValue.code, detail, {"errors": listed})


def _field(location: Sequence[int | str]) -> str:
    """A field as the caller wrote it: `routes[0].dst`."""
    path = ""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            plain = part if _PLAIN.fullmatch(part) else json.dumps(part[:64])
            path += f".{plain}" if path else plain
    return path or "body"


def _why(each: Mapping[str, Any], route: object) -> str:
    if each["type"] == "extra_forbidden":
        known = fields_at(route, each["loc"]) if isinstance(route, APIRoute) else ()
        return unknown("field", str(each["loc"][-1]), known)
    return str(each["msg"]).removeprefix("Value error, ")[:500]
