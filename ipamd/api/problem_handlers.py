"""Errors of the admin API, answered with problem documents whoever raised them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from ipamd.api.fields import fields_at
from ipamd.api.problems import MEDIA_TYPE, Problem, in_doubt
from ipamd.backends.interface import InDoubt
from ipamd.models import errors
from ipamd.models.nearest import unknown
from ipamd.models.wrong_value import why_wrong

MOST_LISTED: Final = 20
"""How many wrong fields a problem lists. A body may have a million."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ProblemDocument(BaseModel):
    """The form of every error. `code` never changes."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str


_OF_THE_ROUTER: Final = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path: /docs lists all paths",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path takes other methods: the header `Allow` lists them",
}
"""Sentences for requests without a route: the router says no more than the status."""


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
    return Response(problem.encoded(), problem.status, problem.headers, MEDIA_TYPE)


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
        return of_validation(error.errors(), route)
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, InDoubt):
        return in_doubt()
    # Starlette raises it again after this answer, and the server logs it with its traceback.
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "ipamd failed on this request: its log has the details"
    )


def _of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    return Problem(status, code, _OF_THE_ROUTER.get(status, str(error.detail)), headers=error.headers)


def of_validation(
    found: Sequence[Any], route: object, place: Callable[[Sequence[int | str]], str] | None = None
) -> Problem:
    """The problem of errors that pydantic found. `place` names their fields, if not as in a body."""
    place = place or _field
    listed = [{"field": place(each["loc"]), "why": _why(each, route)} for each in found[:MOST_LISTED]]
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
    return why_wrong(each)
